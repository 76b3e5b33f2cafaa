#!/usr/bin/env python3
"""Asks a gateway on loopback, as many people would, and says each second who has answered: ask.py PORT [--rps 200]."""
import argparse
import collections
import http.client
import threading
import time

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("port", type=int)
arguments.add_argument("--rps", type=float, default=200.0)
arguments.add_argument("--path", default="/")
arguments.add_argument("--host", default="", help="Host header")
options = arguments.parse_args()

ASKERS = 8
answers = collections.Counter()
lock = threading.Lock()


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=5)
    due = time.monotonic()
    while True:
        due += ASKERS / options.rps
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            connection.request("GET", options.path, headers={"Host": options.host} if options.host else {})
            response = connection.getresponse()
            response.read()
            who = response.getheader("x-demo-version", "nobody")
            who += "" if response.status < 400 else f" {response.status}"
        except (OSError, http.client.HTTPException):
            connection.close()
            who = "no answer"
        with lock:
            answers[who] += 1


for _ in range(ASKERS):
    threading.Thread(target=ask, daemon=True).start()
try:
    while True:
        time.sleep(1)
        with lock:
            line = "  ".join(f"{who}: {n}" for who, n in sorted(answers.items()))
            answers.clear()
        print(line or "nothing yet", flush=True)
except KeyboardInterrupt:
    pass
