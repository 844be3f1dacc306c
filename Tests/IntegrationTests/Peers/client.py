"""A client that writes down what it was told: one line of JSON a message on standard output.

    {"id": "t-12", "code": 250, "text": "…", "bodyOctets": 4096, "bodyDigest": "sha256…"}

`code` is 0 when the connection broke before an answer: the message may or may not have been taken. With --for-ever it
goes on, through broken connections, until its standard input is closed.
"""

import argparse
import base64
import hashlib
import itertools
import json
import socket
import sys
import threading

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--sessions", type=int, default=1)
parser.add_argument("--messages", type=int, default=1)
parser.add_argument("--octets", type=int, default=4096)
parser.add_argument("--recipients", type=int, default=1)
parser.add_argument("--prefix", default="t")
parser.add_argument("--word", default="", help="put into every body")
parser.add_argument("--word-every", type=int, default=1)
parser.add_argument("--for-ever", action="store_true")
options = parser.parse_args()

numbers = itertools.count(1)
lock = threading.Lock()
stopped = threading.Event()


def note(**members):
    with lock:
        sys.stdout.write(json.dumps(members) + "\n")
        sys.stdout.flush()


def body(identifier, number):
    """Pieces of about `octets` octets in lines of at most 78, some beginning with dots, different for every message."""
    line = base64.b64encode(hashlib.sha512(identifier.encode()).digest())[:74].replace(b"=", b"x")
    block = b"".join(b"." * (i % 3) + line + b"\r\n" for i in range(400))
    first = ("%s %s\r\n" % (identifier, options.word if number % options.word_every == 0 else "")).encode()
    left = options.octets - len(first)
    yield first
    count = 0
    while left > 0:
        mark = b"%d\r\n" % count
        piece = mark + block
        if len(piece) > left:
            piece = piece[: left - 2] + b"\r\n" if left > 2 else b"\r\n"
            piece = piece.replace(b"\r\r\n", b"x\r\n")
        left -= len(piece)
        count += 1
        yield piece


class Connection:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", options.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.answer()
        self.ask("EHLO client.example.org")

    def answer(self):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return int(line[:3]), line[4:].decode().strip()

    def ask(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.answer()


def send(connection, identifier, number):
    code, text = connection.ask("MAIL FROM:<sender@example.org>")
    if code != 250:
        return code, text, 0, ""
    names = ["%s-%d@example.com" % (identifier, i) for i in range(options.recipients)]
    if options.recipients == 1:
        names = ["%s@example.com" % identifier]
    refused = 0
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        connection.socket.sendall("".join("RCPT TO:<%s>\r\n" % name for name in part).encode())
        for _ in part:
            code, text = connection.answer()
            refused += code != 250
    if refused == len(names):
        connection.ask("RSET")
        return code, text, 0, ""
    code, text = connection.ask("DATA")
    if code != 354:
        connection.ask("RSET")
        return code, text, 0, ""
    connection.socket.sendall(
        ("From: sender@example.org\r\nTo: list@example.com\r\nSubject: %s\r\nX-Test-ID: %s\r\n\r\n" % (identifier, identifier)).encode()
    )
    digest, octets = hashlib.sha256(), 0
    for piece in body(identifier, number):
        digest.update(piece)
        octets += len(piece)
        piece = b"\r\n" + piece
        connection.socket.sendall(piece.replace(b"\r\n.", b"\r\n..")[2:])
    code, text = connection.ask(".")
    return code, text, octets, digest.hexdigest()


def serve():
    connection = None
    while not stopped.is_set():
        number = next(numbers)
        if not options.for_ever and number > options.messages:
            break
        identifier = "%s-%d" % (options.prefix, number)
        try:
            if connection is None:
                connection = Connection()
        except OSError:
            # Nobody is there: nothing was offered.
            stopped.wait(0.02)
            if not options.for_ever:
                note(id=identifier, code=0, text="no connection", bodyOctets=0, bodyDigest="")
            continue
        try:
            code, text, octets, digest = send(connection, identifier, number)
            note(id=identifier, code=code, text=text, bodyOctets=octets, bodyDigest=digest)
            if code == 421:
                connection = None
        except OSError as error:
            connection = None
            note(id=identifier, code=0, text=str(error), bodyOctets=0, bodyDigest="")
    if connection:
        try:
            connection.ask("QUIT")
        except OSError:
            pass


threads = [threading.Thread(target=serve) for _ in range(options.sessions)]
for thread in threads:
    thread.start()
if options.for_ever:
    sys.stdin.read()
    stopped.set()
for thread in threads:
    thread.join()
