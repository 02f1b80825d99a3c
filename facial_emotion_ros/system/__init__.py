"""Process and machine: watchdog, memory, CPU, power, subprocesses, DDS environment."""
