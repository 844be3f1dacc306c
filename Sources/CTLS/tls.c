#include "CTLS.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

int ctls_prepare(void) {
  return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
}

// RFC 7301 §3.2: a client that offers protocols without ours is not a mail client (CVE-2021-3618).
static int select_smtp(SSL *connection, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                       unsigned int in_length, void *unused) {
  static const unsigned char smtp[] = "\x04smtp";
  (void)connection;
  (void)unused;
  for (unsigned int at = 0; at < in_length; at += 1u + in[at]) {
    if (in[at] == 4 && at + 5 <= in_length && memcmp(in + at, smtp, 5) == 0) {
      *out = in + at + 1;
      *out_length = 4;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *context(const SSL_METHOD *method, int security_level) {
  SSL_CTX *context = SSL_CTX_new(method);
  if (!context) return NULL;
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_security_level(context, security_level);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, 0) != 1 ||
      SSL_CTX_set_cipher_list(context, security_level > 1 ? "HIGH:!aNULL:!eNULL:!PSK:!SRP:!kRSA"
                                                          : "HIGH:MEDIUM:!aNULL:!eNULL:!PSK:!SRP") != 1) {
    SSL_CTX_free(context);
    return NULL;
  }
  return context;
}

// A key that needs a pass phrase is refused instead of asking on a terminal.
static int no_pass_phrase(char *buffer, int size, int writing, void *unused) {
  (void)buffer, (void)size, (void)writing, (void)unused;
  return -1;
}

SSL_CTX *ctls_server_context(const char *certificate_file, const char *key_file) {
  SSL_CTX *made = context(TLS_server_method(), 2);
  if (!made) return NULL;
  SSL_CTX_set_default_passwd_cb(made, no_pass_phrase);
  SSL_CTX_set_alpn_select_cb(made, select_smtp, NULL);
  // Tickets only: no session cache to grow. Their keys are random and of this context (Postfix 20260805).
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(made, certificate_file) != 1 ||
      SSL_CTX_use_PrivateKey_file(made, key_file, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(made) != 1) {
    SSL_CTX_free(made);
    return NULL;
  }
  return made;
}

SSL_CTX *ctls_client_context(int security_level) { return context(TLS_client_method(), security_level); }

int ctls_verify_peers(SSL_CTX *context, const char *authorities_file) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (authorities_file) return SSL_CTX_load_verify_file(context, authorities_file);
  return SSL_CTX_set_default_verify_paths(context);
}

SSL *ctls_connection(SSL_CTX *context, int is_server) {
  SSL *connection = SSL_new(context);
  BIO *incoming = BIO_new(BIO_s_mem());
  BIO *outgoing = BIO_new(BIO_s_mem());
  if (!connection || !incoming || !outgoing) {
    SSL_free(connection);
    BIO_free(incoming);
    BIO_free(outgoing);
    return NULL;
  }
  // An empty memory BIO means "later", not the end.
  BIO_set_mem_eof_return(incoming, -1);
  BIO_set_mem_eof_return(outgoing, -1);
  SSL_set_bio(connection, incoming, outgoing);
  if (is_server) {
    SSL_set_accept_state(connection);
  } else {
    SSL_set_connect_state(connection);
  }
  return connection;
}

int ctls_set_server_name(SSL *connection, const char *name, int verifies) {
  // An address is no server name (RFC 6066 §3), and is looked for among the certificate's addresses.
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name) == 1) return 1;
  ERR_clear_error();
  if (verifies) {
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(connection, name) != 1) return 0;
  }
  return (int)SSL_set_tlsext_host_name(connection, name);
}

int ctls_feed(SSL *connection, const void *octets, size_t count) {
  if (count > INT_MAX) return -1;
  if (count == 0) return 0;
  return BIO_write(SSL_get_rbio(connection), octets, (int)count) == (int)count ? 0 : -1;
}

int ctls_drain(SSL *connection, void *octets, size_t count) {
  int drained = BIO_read(SSL_get_wbio(connection), octets, count > INT_MAX ? INT_MAX : (int)count);
  return drained > 0 ? drained : 0;
}

size_t ctls_waiting_output(SSL *connection) { return BIO_ctrl_pending(SSL_get_wbio(connection)); }

int ctls_last_error(char *line, size_t count) {
  unsigned long error = ERR_get_error();
  if (error == 0) return 0;
  ERR_error_string_n(error, line, count);
  ERR_clear_error();
  return 1;
}
