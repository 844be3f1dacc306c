// What Swift cannot import from OpenSSL: macros, variadic calls, callbacks with C-only shapes. Nothing else belongs here.
#ifndef CTLS_H
#define CTLS_H

#include <openssl/ssl.h>
#include <stddef.h>

// Prepares the library without reading the system's openssl.cnf, which would change what a listener offers. Only the
// first caller in the process decides; every other setting is made on each context all the same.
int ctls_prepare(void);

// TLS 1.2 or newer, no compression, no renegotiation, session tickets with keys of this context's own.
// NULL on failure; the reason is in OpenSSL's error queue.
SSL_CTX *ctls_server_context(const char *certificate_file, const char *key_file);
// `security_level` as in SSL_CTX_set_security_level(3).
SSL_CTX *ctls_client_context(int security_level);
// Verifies peers of a client context against a file of authorities, or the system's when it is NULL. 1 on success.
int ctls_verify_peers(SSL_CTX *context, const char *authorities_file);

// A connection over two memory BIOs. NULL when memory is short.
SSL *ctls_connection(SSL_CTX *context, int is_server);
// SNI, and when `verifies` is not 0 the name that the certificate must be for, or the IP address. 1 on success.
int ctls_set_server_name(SSL *connection, const char *name, int verifies);
// Octets from the peer. All are taken, or -1.
int ctls_feed(SSL *connection, const void *octets, size_t count);
// Moves at most `count` octets for the peer out. 0 when there are none.
int ctls_drain(SSL *connection, void *octets, size_t count);
size_t ctls_waiting_output(SSL *connection);
// The next reason from OpenSSL's error queue of this thread as one line, the queue emptied; 0 when there was none.
int ctls_last_error(char *line, size_t count);

#endif
