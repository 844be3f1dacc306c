"""Says exactly what it is told to, and prints the replies.

    raw.py PORT COUNT TEXT [COUNT TEXT …]

Each TEXT is sent as it stands after \\r, \\n and \\xNN were put in, in one piece; then COUNT replies are read and printed.
A connection that the server closes is printed as `closed`.
"""

import socket
import sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60)
replies = connection.makefile("rb")


def read_reply():
    while True:
        line = replies.readline()
        if not line:
            print("closed", flush=True)
            sys.exit(0)
        print(line.decode().rstrip("\r\n"), flush=True)
        if line[3:4] != b"-":
            return


read_reply()
for count, text in zip(sys.argv[2::2], sys.argv[3::2]):
    connection.sendall(text.encode("utf-8").decode("unicode_escape").encode("latin-1"))
    for _ in range(int(count)):
        read_reply()
