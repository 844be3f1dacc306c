"""An own Postfix in a directory of its own, on a loopback port of its own; needs root, as Postfix does.

    postfix.py make DIRECTORY PORT [NAME=VALUE …]     writes main.cf and master.cf; then `postfix -c DIRECTORY start`

It listens on 127.0.0.1:PORT only, nothing is in a chroot, names are not looked up, and it relays for loopback clients.
"""

import os
import pwd
import sys

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
verify    unix  -  -  n  -   1  verify
flush     unix  n  -  n  1000? 0 flush
proxymap  unix  -  -  n  -   -  proxymap
proxywrite unix -  -  n  -   1  proxymap
smtp      unix  -  -  n  -   -  smtp
relay     unix  -  -  n  -   -  smtp
error     unix  -  -  n  -   -  error
retry     unix  -  -  n  -   -  error
discard   unix  -  -  n  -   -  discard
local     unix  -  n  n  -   -  local
virtual   unix  -  n  n  -   -  virtual
anvil     unix  -  -  n  -   1  anvil
scache    unix  -  -  n  -   1  scache
postlog   unix-dgram n - n -  1  postlogd
"""

MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "postfix.example.net",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "disable_dns_lookups": "yes",
    "smtpd_peername_lookup": "no",
    "biff": "no",
    "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
    "postscreen_cache_map": "",
}


def make(directory, port, settings):
    os.makedirs(directory + "/queue", exist_ok=True)
    os.makedirs(directory + "/data", exist_ok=True)
    os.chown(directory + "/data", pwd.getpwnam("postfix").pw_uid, -1)
    values = dict(MAIN, queue_directory=directory + "/queue", data_directory=directory + "/data")
    values.update(settings)
    with open(directory + "/main.cf", "w") as file:
        file.writelines("%s = %s\n" % item for item in values.items())
    with open(directory + "/master.cf", "w") as file:
        file.write(MASTER.format(port=port))


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] != "make":
        sys.exit(__doc__)
    make(sys.argv[2], int(sys.argv[3]), dict(word.split("=", 1) for word in sys.argv[4:]))
