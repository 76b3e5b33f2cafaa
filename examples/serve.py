#!/usr/bin/env python3
"""Serves one version of a service on loopback ports, for the examples: serve.py VERSION PORT... [--errors PERCENT].

Each answer names its version, in the body and in the header x-demo-version; so many per cent are a 500."""
import argparse
import http.server
import random
import sys
import threading

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("version")
arguments.add_argument("ports", nargs="+", type=int)
arguments.add_argument("--errors", type=float, default=0.0, metavar="PERCENT")
options = arguments.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (options.version + "\n").encode()
        self.send_response(500 if random.random() * 100 < options.errors else 200)
        self.send_header("x-demo-version", options.version)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass




def serve(port):
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as err:
        sys.exit(f"error: port {port} of version {options.version}: {err.strerror}\nnext: end what listens there, perhaps another run of the example")


servers = [serve(port) for port in options.ports]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
