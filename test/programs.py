"""Programs that run to their end, and what they print."""

import subprocess


def ended(*command, **options):
    """Run a command, with options of subprocess.run; both streams are text in `stdout` of what comes back."""
    return subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **options
    )


def printed(*command, status=0, **options):
    """Run a command that ends with a status; give what it printed."""
    ran = ended(*command, **options)
    assert ran.returncode == status, ran.stdout
    return ran.stdout
