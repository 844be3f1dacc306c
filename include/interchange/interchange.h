/*
 * interchange.h — how a stage and the Interchange host talk.
 *
 * A stage brings messages in (a source), looks at or changes them (a filter), or takes them out (a sink). It is
 * compiled into a shared library, a module, that the host loads because pipeline.yaml names it. This header is the
 * whole of the contract and its manual; a stage needs nothing else of Interchange.
 *
 * LEVEL
 *   IX_LEVEL is 0: still moving. Host and module must have been built at the same level, and the host refuses a module
 *   that was not, naming both numbers. From level 1 on, a level only adds.
 *
 * WHAT A MODULE EXPORTS
 *   One function, ix_module_v1, and nothing else. It returns a description that stays valid for the life of the process:
 *   the host never unloads a module.
 *
 * THREADS
 *   Every function below says who may call it, in brackets.
 *     [main]   the thread that loads modules, while no instance exists.
 *     [stage]  the instance's own thread. The host calls an instance there and nowhere else, one call at a time. Two
 *              instances have two threads (often two processes): what they share is theirs to guard.
 *     [any]    any thread of the process, at any time between create and destroy.
 *   A call on [stage] must come back soon: nothing else of that instance runs meanwhile, and one that takes longer than
 *   the stage's deadline is taken for dead. A stage that has to wait watches a descriptor or a timer (ix_loop), or works
 *   on threads of its own and finishes jobs from there.
 *
 * THE LIFE OF AN INSTANCE
 *   create → start → (submit, callbacks)* → stop → (submit never again; finish what is open) → destroy.
 *   Host functions may be called from create on; drafts may be offered from start on. After stop the host waits until
 *   every job is finished or the deadline has passed, then calls destroy.
 *
 * A MESSAGE
 *   An envelope (who sent it, to whom) and a content (octets). Both are immutable: a job shows them, and what a job shows
 *   is borrowed until ix_job_functions.finish. A change is a new message, made as a draft.
 *   A stage answers for every recipient of a job, once: the answers of a job take effect together, and nothing of a job
 *   has happened before finish. A recipient without an answer is tried again later, and counts as a fault of the stage.
 *
 * STRUCTS
 *   Every struct but the frozen ones starts with its size in octets, set by the side that fills it in. Fields are only
 *   ever appended, and zero means "as before this field existed". Read a field only when the size covers it:
 *   IX_HAS(pointer, field). Arrays of sized structs come with their stride. Pointers passed in are borrowed until the
 *   call returns, unless a comment says otherwise. Each side frees what it allocated.
 *   Frozen, never to change: ix_text, ix_span.
 *
 * TEXT
 *   UTF-8, counted, not terminated, may contain any character. The host refuses text that is not UTF-8 with IX_INVALID.
 *   Extension ids are the one exception: C strings.
 *
 * A STAGE MAY NOT
 *   exit or abort on purpose, fork, change signal handlers or the locale, or write to standard output or error. Use the
 *   log extension. By default a stage runs in a process of its own: if it crashes, its jobs are tried again.
 */
#ifndef INTERCHANGE_H
#define INTERCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IX_LEVEL 0u

/* True when the other side knew `field` when it was compiled. */
#define IX_HAS(pointer, field) \
  ((pointer)->size >= offsetof(__typeof__(*(pointer)), field) + sizeof((pointer)->field))

#if defined(__GNUC__)
#define IX_EXPORT __attribute__((visibility("default")))
#else
#define IX_EXPORT
#endif

/* ---- Frozen types ---- */

/* UTF-8 text. {NULL, 0} is the absent text where a comment allows one. */
typedef struct ix_text {
  const char *octets;
  size_t count;
} ix_text;

/* Octets of a content. */
typedef struct ix_span {
  const uint8_t *octets;
  size_t count;
} ix_span;

/* ---- Results ---- */

typedef enum ix_status {
  IX_OK = 0,
  /* Not now: room will come, and the callback named at the function tells when. Nothing was taken. */
  IX_AGAIN = 1,
  /* The call breaks this contract or its text is not UTF-8. Nothing was taken; the host logs what was wrong. */
  IX_INVALID = 2,
  /* A limit of the host (message size, number of recipients) is exceeded, for good. */
  IX_TOO_BIG = 3,
  /* The instance or the host is stopping. */
  IX_CLOSED = 4,
  /* Anything else; details are in the diagnostics or the log. */
  IX_FAILED = 5
} ix_status;

/* ---- Opaque ---- */

typedef struct ix_instance ix_instance; /* a stage's own; the host only carries the pointer */
typedef struct ix_host ix_host;         /* the host, as one instance sees it; defined below */
typedef struct ix_node ix_node;         /* a place in the configuration; lives as long as the instance */
typedef struct ix_job ix_job;           /* a message in the stage's hands */
typedef struct ix_draft ix_draft;       /* a message being made */

/* ---- Settings: what may stand under `config:` ---- */

typedef enum ix_setting_kind {
  IX_SETTING_STRING = 1,
  IX_SETTING_INTEGER = 2,
  IX_SETTING_BOOLEAN = 3,
  IX_SETTING_SIZE = 4,     /* octets, written 50MiB */
  IX_SETTING_DURATION = 5, /* seconds, written 1h30m */
  IX_SETTING_PERCENT = 6,
  IX_SETTING_CHOICE = 7,   /* one of `choices` */
  IX_SETTING_ENDPOINT = 8, /* host:port or [v6]:port */
  IX_SETTING_PATH = 9,
  IX_SETTING_LIST = 10,    /* of `children[0]` */
  IX_SETTING_MAPPING = 11, /* of names to `children[0]` */
  IX_SETTING_RECORD = 12,  /* with the members `children` */
  IX_SETTING_ANY = 13
} ix_setting_kind;

typedef enum ix_setting_flag {
  IX_SETTING_REQUIRED = 1,
  IX_SETTING_SECRET = 2 /* never shown */
} ix_setting_flag;

/* The host validates the configuration against these before it creates an instance, fills in the defaults, and makes the
 * schema for editors from them. */
typedef struct ix_setting {
  size_t size;
  ix_text name;
  uint32_t kind;  /* ix_setting_kind */
  uint32_t flags; /* ix_setting_flag */
  /* As it would be written in the file; absent when there is no default. */
  ix_text default_text;
  /* One line for people. */
  ix_text summary;
  const ix_text *choices;
  size_t choice_count;
  const struct ix_setting *children;
  size_t child_count;
  size_t child_stride;
  /* Bounds of an integer, size, duration or percent; both zero: none. */
  double minimum;
  double maximum;
} ix_setting;

/* ---- Modules and stages ---- */

typedef enum ix_stage_kind { IX_SOURCE = 1, IX_FILTER = 2, IX_SINK = 3 } ix_stage_kind;

/* A kind of stage that a module offers; pipeline.yaml makes instances of it with `use: MODULE.NAME`. */
typedef struct ix_stage_class {
  size_t size;
  ix_text name;
  uint32_t kind; /* ix_stage_kind */
  uint32_t flags; /* none yet */
  /* One line for people. */
  ix_text summary;
  /* Output ports, which pipeline.yaml wires with `to:`. A port is named by its index from here on. A sink has none. */
  const ix_text *ports;
  size_t port_count;
  const ix_setting *settings;
  size_t setting_count;
  size_t setting_stride;

  /* [stage] Makes an instance of `stage_class`. `config` has been validated against `settings`. What is wrong beyond that
   * is reported through ix_diagnostics at its node, all of it, and the result is IX_INVALID. Must not open sockets or
   * files outside its state directory: `interchange check` calls create and destroy only. */
  ix_status (*create)(const struct ix_stage_class *stage_class, const ix_host *host, const ix_node *config,
                      ix_instance **instance);
  /* [stage] Begins work: listens, connects. */
  ix_status (*start)(ix_instance *instance);
  /* [stage] Filters and sinks: takes a job. May finish it before it returns. May be NULL for a source. */
  void (*submit)(ix_instance *instance, ix_job *job);
  /* [stage] The host would like this job back, as its deadline is near or an operator asked: finish it soon with what is
   * known. May be NULL. */
  void (*cancel)(ix_instance *instance, ix_job *job);
  /* [stage] No new work: stop listening, finish what is open. */
  void (*stop)(ix_instance *instance);
  /* [stage] Frees everything. Jobs still open are the host's again. */
  void (*destroy)(ix_instance *instance);
  /* [any] What else the instance offers, by id, such as "ix.health/1"; NULL when it does not. May be NULL. */
  const void *(*get_extension)(ix_instance *instance, const char *id);
} ix_stage_class;

typedef struct ix_module {
  size_t size;
  uint32_t level; /* IX_LEVEL */
  uint32_t flags; /* none yet */
  ix_text name;
  ix_text version;
  ix_text summary;
  const ix_stage_class *stages;
  size_t stage_count;
  size_t stage_stride;
} ix_module;

/* [main] The exported symbol. May be called more than once. `host_level` is the level of the caller; a module that cannot
 * serve it still returns its description, and the host names both levels. */
IX_EXPORT const ix_module *ix_module_v1(uint32_t host_level);
typedef const ix_module *(*ix_module_function)(uint32_t host_level);

/* ---- The host ---- */

struct ix_host {
  size_t size;
  uint32_t level;
  uint32_t flags; /* none yet */
  /* [any] What the host offers, by id: one of the tables below, valid until destroy; NULL when it does not. */
  const void *(*get_extension)(const ix_host *host, const char *id);
};

/* ---- Envelopes ---- */

typedef enum ix_address_kind {
  IX_ADDRESS_NONE = 0, /* the null reverse-path */
  IX_ADDRESS_SMTP = 1,
  IX_ADDRESS_X400 = 2,
  IX_ADDRESS_MSMAIL = 3,
  IX_ADDRESS_OTHER = 255
} ix_address_kind;

typedef enum ix_notify {
  IX_NOTIFY_NEVER = 0,
  IX_NOTIFY_SUCCESS = 1,
  IX_NOTIFY_FAILURE = 2,
  IX_NOTIFY_DELAY = 4,
  IX_NOTIFY_UNSAID = 255 /* the originator did not say */
} ix_notify;

typedef enum ix_return { IX_RETURN_UNSAID = 0, IX_RETURN_FULL = 1, IX_RETURN_HEADERS = 2 } ix_return;
typedef enum ix_body { IX_BODY_7BIT = 0, IX_BODY_8BITMIME = 1, IX_BODY_BINARYMIME = 2 } ix_body;

/* RFC 5321, RFC 3461. */
typedef struct ix_envelope {
  size_t size;
  uint32_t reverse_path_kind; /* ix_address_kind */
  uint32_t return_content;    /* ix_return */
  uint32_t body;              /* ix_body */
  uint32_t smtputf8;          /* 0 or 1 */
  ix_text reverse_path;
  /* ENVID, decoded from xtext; absent when there is none. */
  ix_text envelope_id;
} ix_envelope;

typedef struct ix_recipient {
  size_t size;
  uint32_t address_kind; /* ix_address_kind */
  uint32_t notify;       /* ix_notify */
  /* Verbatim, as the source gave it. */
  ix_text address;
  /* ORCPT, decoded from xtext; both absent when there is none. */
  ix_text original_type;
  ix_text original_address;
} ix_recipient;

/* Stands for the envelope itself where a recipient's index is asked for. */
#define IX_ENVELOPE SIZE_MAX

/* ---- Answers ---- */

typedef enum ix_answer_kind {
  IX_FORWARD = 1,   /* to the stage wired to `port`; a status and text say why, for a port that leads to the reports */
  IX_DELIVERED = 2, /* into a mailbox or its like */
  IX_RELAYED = 3,   /* to a system that will not report success */
  IX_EXPANDED = 4,  /* to the members of a list */
  IX_DEFERRED = 5,  /* not now */
  IX_REFUSED = 6,   /* never; the originator is told */
  IX_HELD = 7,      /* until an operator releases it */
  IX_DEAD = 8,      /* to the dead-letter stage */
  IX_MOVED = 9,     /* goes on as a recipient of the draft that this job emitted as number `draft` */
  IX_TRANSFERRED = 10 /* to a system that took over the duty to report success */
} ix_answer_kind;

typedef struct ix_answer {
  size_t size;
  uint32_t kind; /* ix_answer_kind */
  uint32_t port; /* IX_FORWARD */
  /* Enhanced status code, RFC 3463; class 0: the host chooses one that fits `kind` (with IX_FORWARD: there is none). A
   * class that contradicts `kind` (5.x.x with IX_DEFERRED) is IX_INVALID. */
  uint32_t status_class;
  uint32_t status_subject;
  uint32_t status_detail;
  uint32_t draft; /* IX_MOVED */
  /* One line for people. */
  ix_text text;
  /* What the next system said, verbatim, and its name; absent when none spoke. `remote_type` is "smtp", "x400", …. */
  ix_text remote_host;
  ix_text remote_type;
  ix_text remote_text;
  /* IX_DEFERRED: a hint, in seconds; 0: the stage's schedule alone decides. */
  double retry_after;
} ix_answer;

/* ---- "ix.job/1": filters and sinks ---- */

#define IX_JOB "ix.job/1"
typedef struct ix_job_functions {
  size_t size;
  /* All [any] until finish. What they hand out is borrowed until finish. The caller sets `out->size`. */
  ix_text (*queue_id)(const ix_job *job);
  uint32_t (*attempt)(const ix_job *job); /* 1 at the first try at this stage */
  void (*envelope)(const ix_job *job, ix_envelope *out);
  size_t (*recipient_count)(const ix_job *job);
  ix_status (*recipient)(const ix_job *job, size_t index, ix_recipient *out);
  /* Attributes of the envelope (IX_ENVELOPE) or of a recipient. */
  size_t (*attribute_count)(const ix_job *job, size_t recipient);
  ix_status (*attribute)(const ix_job *job, size_t recipient, size_t index, ix_text *name, ix_text *value);
  /* Milliseconds since 1970 at which this node accepted the message. */
  int64_t (*accepted_at)(const ix_job *job);
  uint64_t (*content_octets)(const ix_job *job);
  /* The longest run of content in one piece from `offset` on; empty at the end. Nothing is copied. */
  ix_status (*content)(const ix_job *job, uint64_t offset, ix_span *out);

  /* [any] Sets the answer for one recipient; IX_INVALID when it already has one. The answer is copied. */
  ix_status (*answer)(ix_job *job, size_t recipient, const ix_answer *answer);
  /* [any] The same answer for every recipient that has none yet. */
  ix_status (*answer_rest)(ix_job *job, const ix_answer *answer);
  /* [any] Filters: adds a new message, to go to `port`, as part of this job's outcome; its number is stored at `number`.
   * The draft belongs to the host from here on. */
  ix_status (*emit)(ix_job *job, ix_draft *draft, uint32_t port, uint32_t *number);
  /* [any] Makes the outcome final and gives the job back. */
  void (*finish)(ix_job *job);
} ix_job_functions;

/* ---- "ix.draft/1": making a message ---- */

#define IX_DRAFT "ix.draft/1"
typedef struct ix_draft_functions {
  size_t size;
  /* [any] A new draft, of one thread at a time; NULL when there are too many. */
  ix_draft *(*create)(const ix_host *host);
  /* [any] Replaces sender and options; recipients and attributes stay. */
  ix_status (*set_envelope)(ix_draft *draft, const ix_envelope *envelope);
  ix_status (*add_recipient)(ix_draft *draft, const ix_recipient *recipient);
  /* `recipient` counts from the first one added; IX_ENVELOPE for the envelope. At most 100 each. */
  ix_status (*add_attribute)(ix_draft *draft, size_t recipient, ix_text name, ix_text value);
  /* Copies sender, options and attributes (no recipients) from a job. */
  ix_status (*copy_envelope)(ix_draft *draft, const ix_job *job);
  /* [any] Appends octets to the content. Takes all of them or none: IX_AGAIN when the way to the spool is full (the room
   * callback of `on_room` comes when it is not), IX_TOO_BIG when the limit is passed. More than 128 KiB in one call may
   * be IX_INVALID: what can never fit into the way at once would wait for ever. */
  ix_status (*write)(ix_draft *draft, ix_span octets);
  /* [any] The same, but waits for room. Only in a filter or sink, or on a thread of the stage's own: on a source's
   * [stage] thread it is IX_INVALID. */
  ix_status (*write_waiting)(ix_draft *draft, ix_span octets);
  /* [any] The content of the job's message, unchanged; instead of writing. */
  ix_status (*keep_content)(ix_draft *draft, const ix_job *job);
  /* [any] Frees a draft that was neither offered nor emitted. */
  void (*discard)(ix_draft *draft);
  /* [any] `room` is called on [stage], once, when a write that got IX_AGAIN may be tried again; not at all for a draft
   * that is discarded, offered or emitted before. */
  void (*on_room)(ix_draft *draft, void (*room)(void *user), void *user);
} ix_draft_functions;

/* ---- "ix.ingest/1": sources ---- */

/* How it went. Anything but IX_OK: the message is still the peer's. */
typedef struct ix_verdict {
  size_t size;
  ix_status status; /* IX_OK: durable. IX_AGAIN: not now. IX_TOO_BIG, IX_INVALID: never. IX_CLOSED: stopping. */
  uint32_t status_class;
  uint32_t status_subject;
  uint32_t status_detail;
  ix_text queue_id; /* with IX_OK */
  ix_text text;     /* otherwise: one line that may be told to the peer */
} ix_verdict;

/* How much new mail the host would take. */
typedef enum ix_congestion {
  IX_FLOWING = 0,
  IX_TIGHT = 1, /* shorten deadlines */
  IX_FULL = 2,  /* refuse new messages for now: SMTP 452 4.3.1 */
  IX_SHUT = 3   /* take no new connections */
} ix_congestion;

#define IX_INGEST "ix.ingest/1"
typedef struct ix_ingest_functions {
  size_t size;
  /* [any] In a source. Offers a complete draft, which is the host's from here on whatever the result. `verdict` is called
   * on [stage], once, when the message is durable or refused, and with IX_CLOSED before destroy when neither has happened;
   * only then may a peer be told. It is not called when the result is not IX_OK. The verdict is borrowed. */
  ix_status (*offer)(ix_draft *draft, uint32_t port, void (*verdict)(void *user, const ix_verdict *verdict), void *user);
  /* [any] ix_congestion, now. */
  uint32_t (*congestion)(const ix_host *host);
  /* [any] The largest content that will be taken, in octets. */
  uint64_t (*content_octets_max)(const ix_host *host);
  /* [any] The most recipients that one message may have. */
  size_t (*recipients_max)(const ix_host *host);
} ix_ingest_functions;

/* ---- "ix.loop/1": waiting without blocking, and time ---- */

typedef enum ix_event { IX_READABLE = 1, IX_WRITABLE = 2, IX_HANGUP = 4 } ix_event;

#define IX_LOOP "ix.loop/1"
typedef struct ix_loop_functions {
  size_t size;
  /* [stage] Calls `ready` on [stage] with the ix_event set whenever the descriptor is so (level-triggered). Again for
   * the same descriptor replaces; `events` 0 keeps watching for IX_HANGUP only. */
  ix_status (*watch)(const ix_host *host, int descriptor, uint32_t events, void (*ready)(void *user, uint32_t events),
                     void *user);
  /* [stage] Before the descriptor is closed. `ready` is not called any more, not even for what was already pending. */
  void (*unwatch)(const ix_host *host, int descriptor);
  /* [stage] Calls `fire` on [stage], once, after `seconds`. The number is never 0. */
  uint64_t (*timer)(const ix_host *host, double seconds, void (*fire)(void *user), void *user);
  /* [stage] True when it had not fired yet, and now will not. */
  bool (*cancel_timer)(const ix_host *host, uint64_t timer);
  /* [any] Calls `call` on [stage] soon. This is how a thread of the stage's own comes back. IX_CLOSED from
   * shortly before destroy on, so that what is open after stop can still be finished. */
  ix_status (*post)(const ix_host *host, void (*call)(void *user), void *user);
  /* [any] Nanoseconds on a clock that only moves forward. */
  int64_t (*monotonic)(const ix_host *host);
  /* [any] Milliseconds since 1970. */
  int64_t (*wall)(const ix_host *host);
} ix_loop_functions;

/* ---- "ix.config/1" and "ix.diagnostics/1" ---- */

#define IX_CONFIG "ix.config/1"
typedef struct ix_config_functions {
  size_t size;
  /* All [any]. A getter on a node of another kind, or on NULL, returns the given fallback. */
  uint32_t (*kind)(const ix_node *node); /* ix_setting_kind; 0 for NULL */
  /* A member of a record or mapping; NULL when it is not there and has no default. `key` is a C string. */
  const ix_node *(*member)(const ix_node *node, const char *key);
  /* Elements of a list, or entries of a record or mapping. */
  size_t (*count)(const ix_node *node);
  const ix_node *(*element)(const ix_node *node, size_t index);
  ix_text (*key)(const ix_node *node, size_t index);
  ix_text (*text)(const ix_node *node, ix_text fallback);
  int64_t (*integer)(const ix_node *node, int64_t fallback);  /* integers; sizes in octets */
  double (*real)(const ix_node *node, double fallback);       /* durations in seconds; percents */
  bool (*boolean)(const ix_node *node, bool fallback);
  /* Where it stands; a default stands where its record does. Line and column count from 1. */
  void (*position)(const ix_node *node, ix_text *file, uint32_t *line, uint32_t *column);
  /* The node name of this gateway (`node:`), for greetings and trace. */
  ix_text (*node_name)(const ix_host *host);
  /* The id of this instance in pipeline.yaml. */
  ix_text (*instance_id)(const ix_host *host);
  /* A directory of this instance's own, created and writable. */
  ix_text (*state_directory)(const ix_host *host);
} ix_config_functions;

typedef enum ix_severity { IX_DEBUG = 1, IX_INFO = 2, IX_WARNING = 3, IX_ERROR = 4 } ix_severity;

#define IX_DIAGNOSTICS "ix.diagnostics/1"
typedef struct ix_diagnostics_functions {
  size_t size;
  /* [stage], in create or reload. A complaint about the configuration, shown with file, line, column and a caret. */
  void (*report)(const ix_host *host, uint32_t severity, const ix_node *node, ix_text text);
} ix_diagnostics_functions;

/* ---- "ix.log/1" and "ix.metrics/1" ---- */

#define IX_LOG "ix.log/1"
typedef struct ix_log_functions {
  size_t size;
  /* [any] One event. `job` may be NULL. The text is data, never a format. */
  void (*log)(const ix_host *host, uint32_t severity, const ix_job *job, ix_text text);
} ix_log_functions;

#define IX_METRICS "ix.metrics/1"
typedef struct ix_metrics_functions {
  size_t size;
  /* [any] Names are lower case words joined by dots, at most 64 octets, at most 64 of them an instance. */
  void (*add)(const ix_host *host, ix_text name, int64_t delta);
  void (*set)(const ix_host *host, ix_text name, int64_t value);
} ix_metrics_functions;

/* ---- What an instance may offer ---- */

#define IX_HEALTH "ix.health/1"
typedef struct ix_health_functions {
  size_t size;
  /* [stage] IX_OK, or IX_FAILED with a line that says what is wrong, borrowed until the next call. */
  ix_status (*health)(ix_instance *instance, ix_text *text);
} ix_health_functions;

#define IX_RELOAD "ix.reload/1"
typedef struct ix_reload_functions {
  size_t size;
  /* [stage] A new configuration for a running instance. Anything but IX_OK: nothing changed, and the host makes a new
   * instance instead. */
  ix_status (*reload)(ix_instance *instance, const ix_node *config);
} ix_reload_functions;

#ifdef __cplusplus
}
#endif

#endif
