"""What the ray transform is measured against, each as fast as its library allows."""
