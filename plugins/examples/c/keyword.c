/*
 * keyword.c — a filter in plain C: refuses messages that hold one of some words, and marks the others.
 *
 *   stages:
 *     check: { use: keyword.filter, config: { words: [lottery, "act now"], header: "X-Checked: words" }, to: route }
 *
 * A message whose content holds one of `words`, octet by octet, is refused for all its recipients with 5.7.1. Any other
 * goes on to the port `out`, with `header` as its new first line when that is set, as it is when it is not.
 *
 * Content is immutable: the marked message is a new one (a draft), to which every recipient moves.
 */
#include <interchange/interchange.h>

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256, WORD_OCTETS_MAX = 1024, HEADER_OCTETS_MAX = 900, PIECE_OCTETS = 64 * 1024 };

/* One instance: all calls come on its stage thread. What the configuration shows lives as long as the instance. */
struct ix_instance {
  const ix_host *host;
  const ix_job_functions *job;
  const ix_draft_functions *draft;
  const ix_log_functions *log;
  ix_text words[WORDS_MAX];
  size_t word_count;
  size_t word_octets_max;
  ix_text header;
};

#define TEXT(literal) ((ix_text){(literal), sizeof(literal) - 1})
#define LITERAL(literal) {(literal), sizeof(literal) - 1}

/* ---- Configuration ---- */

/* A field as RFC 5322 §2.2 wants it, on one line: name, colon, printable ASCII. */
static bool is_header_line(ix_text line) {
  size_t colon = 0;
  if (line.count > HEADER_OCTETS_MAX) return false;
  while (colon < line.count && line.octets[colon] != ':') {
    if (line.octets[colon] <= ' ' || line.octets[colon] > '~') return false;
    colon++;
  }
  for (size_t i = colon; i < line.count; i++)
    if (line.octets[i] != '\t' && (line.octets[i] < ' ' || line.octets[i] > '~')) return false;
  return colon > 0 && colon < line.count;
}

/* Complains about everything that is wrong, not only the first. */
static bool configure(ix_instance *self, const ix_config_functions *config, const ix_diagnostics_functions *diagnostics,
                      const ix_node *node) {
  bool good = true;
  const ix_node *header = config->member(node, "header");
  const ix_node *words = config->member(node, "words");
  self->header = config->text(header, TEXT(""));
  if (self->header.count > 0 && !is_header_line(self->header)) {
    diagnostics->report(self->host, IX_ERROR, header, TEXT("is not a header line (Name: text, in ASCII)"));
    good = false;
  }
  for (size_t i = 0; i < config->count(words); i++) {
    const ix_node *element = config->element(words, i);
    ix_text word = config->text(element, TEXT(""));
    if (word.count == 0 || word.count > WORD_OCTETS_MAX) {
      diagnostics->report(self->host, IX_ERROR, element, TEXT("is empty or longer than 1,024 octets"));
      good = false;
    } else if (self->word_count == WORDS_MAX) {
      diagnostics->report(self->host, IX_ERROR, element, TEXT("is one word too many: 256 are allowed"));
      return false;
    } else {
      self->words[self->word_count++] = word;
      if (word.count > self->word_octets_max) self->word_octets_max = word.count;
    }
  }
  return good;
}

static ix_status create(const ix_stage_class *stage_class, const ix_host *host, const ix_node *node,
                        ix_instance **instance) {
  const ix_config_functions *config = host->get_extension(host, IX_CONFIG);
  const ix_diagnostics_functions *diagnostics = host->get_extension(host, IX_DIAGNOSTICS);
  ix_instance *self = calloc(1, sizeof *self);
  (void)stage_class;
  if (!self || !config || !diagnostics) {
    free(self);
    return IX_FAILED;
  }
  self->host = host;
  self->job = host->get_extension(host, IX_JOB);
  self->draft = host->get_extension(host, IX_DRAFT);
  self->log = host->get_extension(host, IX_LOG);
  if (!self->job || !self->draft || !self->log) {
    free(self);
    return IX_FAILED;
  }
  if (!configure(self, config, diagnostics, node)) {
    free(self);
    return IX_INVALID;
  }
  *instance = self;
  return IX_OK;
}

static ix_status start(ix_instance *self) {
  (void)self;
  return IX_OK;
}

static void stop(ix_instance *self) { (void)self; /* no job is ever open between calls */ }

static void destroy(ix_instance *self) { free(self); }

/* ---- Searching ---- */

static bool holds_word(const ix_instance *self, const uint8_t *octets, size_t count) {
  for (size_t i = 0; i < self->word_count; i++) {
    ix_text word = self->words[i];
    const uint8_t *at = octets;
    size_t left = count;
    while (left >= word.count && (at = memchr(octets + (count - left), word.octets[0], left - word.count + 1))) {
      if (memcmp(at, word.octets, word.count) == 0) return true;
      left = count - (size_t)(at - octets) - 1;
    }
  }
  return false;
}

/* Content comes in pieces wherever it lies; a word may begin in one and end in another. So the end of what was searched,
 * one octet shorter than the longest word, is searched again with the beginning of the next piece. */
static ix_status search(const ix_instance *self, const ix_job *job, bool *found) {
  uint8_t seam[2 * WORD_OCTETS_MAX];
  size_t kept = 0;
  size_t wanted = self->word_octets_max > 0 ? self->word_octets_max - 1 : 0;
  *found = false;
  if (self->word_count == 0) return IX_OK;
  for (uint64_t offset = 0; offset < self->job->content_octets(job);) {
    ix_span piece;
    ix_status status = self->job->content(job, offset, &piece);
    if (status != IX_OK || piece.count == 0) return IX_FAILED;
    size_t head = piece.count < wanted ? piece.count : wanted;
    memcpy(seam + kept, piece.octets, head);
    if (holds_word(self, seam, kept + head) || holds_word(self, piece.octets, piece.count)) {
      *found = true;
      return IX_OK;
    }
    if (piece.count >= wanted) {
      kept = wanted;
      memcpy(seam, piece.octets + piece.count - kept, kept);
    } else {
      size_t total = kept + head;
      size_t surplus = total > wanted ? total - wanted : 0;
      memmove(seam, seam + surplus, total - surplus);
      kept = total - surplus;
    }
    offset += piece.count;
  }
  return IX_OK;
}

/* ---- Marking ---- */

static ix_status copy_recipients(const ix_instance *self, const ix_job *job, ix_draft *draft) {
  ix_status status = IX_OK;
  for (size_t i = 0; status == IX_OK && i < self->job->recipient_count(job); i++) {
    ix_recipient recipient = {.size = sizeof recipient};
    status = self->job->recipient(job, i, &recipient);
    if (status == IX_OK) status = self->draft->add_recipient(draft, &recipient);
    for (size_t k = 0; status == IX_OK && k < self->job->attribute_count(job, i); k++) {
      ix_text name, value;
      status = self->job->attribute(job, i, k, &name, &value);
      if (status == IX_OK) status = self->draft->add_attribute(draft, i, name, value);
    }
  }
  return status;
}

static ix_status write_text(const ix_instance *self, ix_draft *draft, ix_text text) {
  ix_span span = {(const uint8_t *)text.octets, text.count};
  return self->draft->write_waiting(draft, span);
}

static ix_status copy_content(const ix_instance *self, const ix_job *job, ix_draft *draft) {
  for (uint64_t offset = 0; offset < self->job->content_octets(job);) {
    ix_span piece;
    ix_status status = self->job->content(job, offset, &piece);
    if (status != IX_OK || piece.count == 0) return IX_FAILED;
    if (piece.count > PIECE_OCTETS) piece.count = PIECE_OCTETS;
    status = self->draft->write_waiting(draft, piece);
    if (status != IX_OK) return status;
    offset += piece.count;
  }
  return IX_OK;
}

/* Makes the marked message part of the job's outcome. Anything but IX_OK: no draft is left, and nothing has happened. */
static ix_status mark(const ix_instance *self, ix_job *job, uint32_t *number) {
  ix_draft *draft = self->draft->create(self->host);
  if (!draft) return IX_AGAIN;
  ix_status status = self->draft->copy_envelope(draft, job);
  if (status == IX_OK) status = copy_recipients(self, job, draft);
  if (status == IX_OK) status = write_text(self, draft, self->header);
  if (status == IX_OK) status = write_text(self, draft, TEXT("\r\n"));
  if (status == IX_OK) status = copy_content(self, job, draft);
  if (status != IX_OK) {
    self->draft->discard(draft);
    return status;
  }
  return self->job->emit(job, draft, 0, number);
}

/* ---- Jobs ---- */

static ix_answer status_answer(ix_answer_kind kind, uint32_t class, uint32_t subject, uint32_t detail, ix_text text) {
  ix_answer answer = {.size = sizeof answer, .kind = kind, .text = text};
  answer.status_class = class;
  answer.status_subject = subject;
  answer.status_detail = detail;
  return answer;
}

static ix_answer judge(const ix_instance *self, ix_job *job) {
  ix_answer forward = {.size = sizeof forward, .kind = IX_FORWARD, .port = 0};
  ix_answer moved = {.size = sizeof moved, .kind = IX_MOVED};
  bool found;
  if (search(self, job, &found) != IX_OK)
    return status_answer(IX_DEFERRED, 4, 3, 0, TEXT("the content could not be read"));
  if (found) {
    self->log->log(self->host, IX_INFO, job, TEXT("refused: holds a word that is not accepted"));
    return status_answer(IX_REFUSED, 5, 7, 1, TEXT("the message holds a word that is not accepted here"));
  }
  if (self->header.count == 0) return forward;
  switch (mark(self, job, &moved.draft)) {
    case IX_OK: return moved;
    case IX_TOO_BIG: return status_answer(IX_REFUSED, 5, 3, 4, TEXT("the marked message would be too big"));
    default: return status_answer(IX_DEFERRED, 4, 3, 0, TEXT("the message could not be marked now"));
  }
}

static void submit(ix_instance *self, ix_job *job) {
  ix_answer answer = judge(self, job);
  self->job->answer_rest(job, &answer);
  self->job->finish(job);
}

/* ---- What the module says of itself ---- */

static const ix_text ports[] = {LITERAL("out")};

static const ix_setting word[] = {{
    .size = sizeof(ix_setting), .name = LITERAL("word"), .kind = IX_SETTING_STRING,
}};

static const ix_setting settings[] = {
    {
        .size = sizeof(ix_setting),
        .name = LITERAL("words"),
        .kind = IX_SETTING_LIST,
        .default_text = LITERAL("[]"),
        .summary = LITERAL("Words, or any octets, that no content may hold."),
        .children = word,
        .child_count = 1,
        .child_stride = sizeof(ix_setting),
    },
    {
        .size = sizeof(ix_setting),
        .name = LITERAL("header"),
        .kind = IX_SETTING_STRING,
        .summary = LITERAL("A header line for messages that pass; none when it is absent."),
    },
};

static const ix_stage_class stages[] = {{
    .size = sizeof(ix_stage_class),
    .name = LITERAL("filter"),
    .kind = IX_FILTER,
    .summary = LITERAL("Refuses messages that hold one of some words, and marks the others."),
    .ports = ports,
    .port_count = 1,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
    .setting_stride = sizeof(ix_setting),
    .create = create,
    .start = start,
    .submit = submit,
    .stop = stop,
    .destroy = destroy,
}};

static const ix_module module = {
    .size = sizeof(ix_module),
    .level = IX_LEVEL,
    .name = LITERAL("keyword"),
    .version = LITERAL("1.0"),
    .summary = LITERAL("An example of a filter in C."),
    .stages = stages,
    .stage_count = 1,
    .stage_stride = sizeof(ix_stage_class),
};

const ix_module *ix_module_v1(uint32_t host_level) {
  (void)host_level;
  return &module;
}
