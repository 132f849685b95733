"""`learnedrecon env`: versions, the machine, kernels and devices."""

from learnedrecon.cli.options import results

_MEMORY = {
    "keep": "kept between steps of long work (LEARNEDRECON_MALLOC=default: as glibc does)",
    "default": "as the environment variables of this process say",
    "foreign": "as the allocator of this process does",
}


def env() -> None:
    """Print the information for a bug report: versions, the machine, kernels and devices."""
    import torch
    from rich.table import Table

    from learnedrecon.allocation import policy
    from learnedrecon.kernels import joseph
    from learnedrecon.training.environment import environment

    known = environment()
    table = Table(show_header=False, box=None)
    rows = {
        "python": known["python"],
        **known["packages"],
        "platform": known["platform"],
        "processor": known["processor"],
        "cores": known["cores"],
        "threads": known["threads"],
        "kernels": ", ".join(joseph.available_isas()) or "plain PyTorch (no compiled kernels)",
        "kernel in use": joseph.current_isa() or "plain PyTorch",
        "devices": ", ".join(["cpu", *known["gpus"]]),
        "freed memory": _MEMORY[policy()],
        "cuda": known["cuda"] or "not in this build of torch",
        "default dtype": torch.get_default_dtype(),
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    results().print(table)
