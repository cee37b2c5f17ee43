"""The parts of `tests/bench/fanout`, which measures Vedette and ustreamer in one run.

host.py        what the host must have, the C programs built, what it is (versions, cores, load)
frames.py      the pictures of the fake camera
processes.py   CPU time and memory of a server, all its processes together
servers.py     how each server is started with the fake camera
links.py       two network namespaces and the links between them: fast, slow, long
load.py        one measured window: viewers on one side, the server's CPU and memory on the other
parts.py       the parts of the bench, round by round
bars.py        what must hold, and whether it did
report.py      the tables and the JSON file
cli.py         the command line
"""
