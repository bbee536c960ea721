"""The local cloud's process: ministack's services and our own behind one loopback URL.

Runs in the local cloud's own virtual environment (`requirements/localcloud.txt`), never in the project's.
"""
