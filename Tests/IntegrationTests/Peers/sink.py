"""A next hop that writes down what it gets: one line of JSON a message on standard output, first the port.

    {"listening": 40213}
    {"from": "<a@b>", "fromParameters": "SIZE=12", "recipients": ["c@d"], "recipientParameters": [""],
     "header": "Received: …\r\n", "bodyOctets": 4096, "bodyDigest": "sha256…", "tls": false, "helo": "gw1"}

Recipients say what becomes of them: `refused…@` gets 550 5.1.1, `later…@` gets 451 4.3.0, others 250. The body is
digested as it comes, so that a content of any size passes.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import re
import ssl
import sys

# Clients here are killed in the middle of things.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--keep", action="store_true", help="note bodies too, as \"body\"")
parser.add_argument("--no-dsn", action="store_true")
parser.add_argument("--delay", type=float, default=0, help="seconds before the answer to a content")
options = parser.parse_args()

context = None
if options.certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)

PATH = re.compile(rb"^(?:MAIL FROM|RCPT TO):\s*(<.*?>)\s*(.*)$", re.I)


class Session(asyncio.Protocol):
    def __init__(self):
        self.buffer = b""
        self.in_content = False
        self.tls = False
        self.helo = ""
        self.reset()

    def reset(self):
        self.sender = None
        self.recipients = []

    def connection_made(self, transport):
        self.transport = transport
        if not self.tls:
            self.say("220 sink ESMTP")

    def say(self, text):
        self.transport.write(text.encode() + b"\r\n")

    def data_received(self, data):
        self.buffer += data
        while True:
            if self.in_content:
                if not self.content():
                    return
                continue
            line, end, rest = self.buffer.partition(b"\r\n")
            if not end:
                return
            self.buffer = rest
            self.command(line)

    def command(self, line):
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.helo = line[5:].decode()
            words = ["sink", "PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 0", "ENHANCEDSTATUSCODES"]
            if not options.no_dsn:
                words.append("DSN")
            if context and not self.tls:
                words.append("STARTTLS")
            for word in words[:-1]:
                self.say("250-" + word)
            self.say("250 " + words[-1])
        elif verb == b"HELO":
            self.say("250 sink")
        elif verb == b"STAR" and context and not self.tls:
            self.say("220 2.0.0 go on")
            self.tls = True
            asyncio.ensure_future(self.start_tls())
        elif verb == b"MAIL":
            match = PATH.match(line)
            self.reset()
            self.sender = (match[1].decode(), match[2].decode())
            self.say("250 2.1.0 ok")
        elif verb == b"RCPT":
            match = PATH.match(line)
            address = match[1].decode()[1:-1]
            if address.startswith("refused"):
                self.say("550 5.1.1 <%s>: no such mailbox here" % address)
            elif address.startswith("later"):
                self.say("451 4.3.0 <%s>: come again" % address)
            else:
                self.recipients.append((address, match[2].decode()))
                self.say("250 2.1.5 ok")
        elif verb == b"DATA":
            if not self.recipients:
                self.say("554 5.5.1 no valid recipients")
                return
            self.say("354 go on")
            self.in_content = True
            self.header = b""
            self.in_header = True
            self.body = b""
            self.octets = 0
            self.digest = hashlib.sha256()
            self.buffer = b"\r\n" + self.buffer
        elif verb == b"RSET":
            self.reset()
            self.say("250 2.0.0 ok")
        elif verb == b"QUIT":
            self.say("221 2.0.0 bye")
            self.transport.close()
        else:
            self.say("250 2.0.0 ok")

    async def start_tls(self):
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self.transport, self, context, server_side=True)
        self.transport = transport

    def content(self):
        """Takes what can be taken of the content; True at its end. The buffer begins with a line end that is no part."""
        end = self.buffer.find(b"\r\n.\r\n")
        if end >= 0:
            piece, self.buffer = self.buffer[: end + 2], self.buffer[end + 5 :]
            self.take(piece)
            self.finish()
            return True
        keep = self.buffer.rfind(b"\r\n", 0, max(0, len(self.buffer) - 4))
        if keep > 0:
            piece, self.buffer = self.buffer[: keep + 2], self.buffer[keep:]
            self.take(piece)
        return False

    def take(self, piece):
        # `piece` begins with the line end before it, and ends with one.
        piece = piece.replace(b"\r\n.", b"\r\n")[2:]
        if self.in_header:
            self.header += piece
            if self.header.startswith(b"\r\n"):
                head, piece = b"", self.header[2:]
            else:
                head, end, piece = self.header.partition(b"\r\n\r\n")
                if not end:
                    return
                head += b"\r\n"
            self.header = head
            self.in_header = False
        self.octets += len(piece)
        if options.keep:
            self.body += piece
        self.digest.update(piece)

    def finish(self):
        self.in_content = False
        note = {
            "from": self.sender[0],
            "fromParameters": self.sender[1],
            "recipients": [address for address, _ in self.recipients],
            "recipientParameters": [parameters for _, parameters in self.recipients],
            "header": self.header.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(),
            "bodyOctets": self.octets,
            "bodyDigest": self.digest.hexdigest(),
            "tls": self.tls,
            "helo": self.helo,
        }
        if options.keep:
            note["body"] = self.body.decode("utf-8", "replace")
        self.reset()
        # Written down first: what was answered 250 is in the record, whatever happens then.
        print(json.dumps(note), flush=True)
        if options.delay:
            asyncio.get_running_loop().call_later(options.delay, self.say, "250 2.0.0 taken")
        else:
            self.say("250 2.0.0 taken")


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Session, "127.0.0.1", options.port, backlog=512)
    print(json.dumps({"listening": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


try:
    asyncio.run(main())
except (KeyboardInterrupt, BrokenPipeError):
    sys.exit(0)
