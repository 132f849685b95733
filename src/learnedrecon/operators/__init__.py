"""Forward operators: T, its derivative T'(u) and their exact adjoints."""
