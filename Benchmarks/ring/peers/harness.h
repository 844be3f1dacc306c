// What the native peers share: descriptors, pinning, and the two ways to be two (a thread, or a forked process that
// shares an anonymous mapping). Prints the lines that RingBenchmark reads.
#ifndef HARNESS_H
#define HARNESS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct descriptor {
  uint64_t words[8];
} descriptor;

enum { capacity = 1024, batch_max = 32 };

static inline void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static inline int64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static inline void fill(descriptor *d, uint64_t number) {
  for (int word = 0; word < 8; word++) d->words[word] = number + word;
}

static inline uint64_t sum(const descriptor *d) {
  uint64_t total = 0;
  for (int word = 0; word < 8; word++) total += d->words[word];
  return total;
}

static inline uint64_t expected_sum(uint64_t count) { return count * (count - 1) / 2 * 8 + count * 28; }

static inline void *shared_memory(size_t octets) {
  void *memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) exit(2);
  return memory;
}

typedef void (*part)(void *peer, int batch, uint64_t count);

struct job {
  part run;
  void *peer;
  int batch;
  uint64_t count;
};

static void *run_job(void *argument) {
  struct job *job = (struct job *)argument;
  pin(0);
  job->run(job->peer, job->batch, job->count);
  return NULL;
}

// Runs `other` on core 0 in a thread or a process while `own` runs on core 1 here.
static inline void run_both(int processes, struct job *other, struct job *own) {
  pthread_t thread;
  pid_t child = 0;
  if (processes) {
    child = fork();
    if (child == 0) {
      run_job(other);
      _exit(0);
    }
  } else if (pthread_create(&thread, NULL, run_job, other) != 0) {
    exit(2);
  }
  pin(1);
  own->run(own->peer, own->batch, own->count);
  if (processes)
    waitpid(child, NULL, 0);
  else
    pthread_join(thread, NULL);
}

static uint64_t consumed;

static inline void measure_stream(const char *name, int processes, void *peer, part produce, part consume, int batch,
                                  uint64_t count) {
  struct job producer = {produce, peer, batch, count}, consumer = {consume, peer, batch, count};
  int64_t start = nanoseconds();
  run_both(processes, &producer, &consumer);
  double seconds = (double)(nanoseconds() - start) / 1e9;
  if (consumed != expected_sum(count)) {
    fprintf(stderr, "%s: wrong sum\n", name);
    exit(1);
  }
  printf("stream\t%s\t%s\t%d\t%f\n", name, processes ? "processes" : "threads", batch, (double)count / seconds / 1e6);
}

static int64_t *trips;
static int compare_trips(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

static inline void measure_ping(const char *name, int processes, void *pair, part answer, part call, uint64_t count) {
  trips = (int64_t *)malloc(count * sizeof *trips);
  struct job other = {answer, pair, 1, count}, own = {call, pair, 1, count};
  run_both(processes, &other, &own);
  qsort(trips, count, sizeof *trips, compare_trips);
  printf("ping\t%s\t%s\t%ld\t%ld\n", name, processes ? "processes" : "threads", (long)trips[count / 2],
         (long)trips[count * 99 / 100]);
  free(trips);
}

// A peer: `put` and `get` move up to `batch` descriptors and say how many. PEER defines the four parts from them.
#define PEER(NAME, PUT, GET)                                                                 \
  static void NAME##_produce(void *peer, int batch, uint64_t count) {                        \
    descriptor pieces[batch_max];                                                            \
    for (uint64_t number = 0; number < count; number += batch) {                             \
      for (int index = 0; index < batch; index++) fill(&pieces[index], number + index);      \
      for (int done = 0; done < batch;) done += PUT(peer, pieces + done, batch - done);      \
    }                                                                                        \
  }                                                                                          \
  static void NAME##_consume(void *peer, int batch, uint64_t count) {                        \
    descriptor pieces[batch_max];                                                            \
    uint64_t total = 0;                                                                      \
    while (count > 0) {                                                                      \
      int found = GET(peer, pieces, batch);                                                  \
      for (int index = 0; index < found; index++) total += sum(&pieces[index]);              \
      count -= found;                                                                        \
    }                                                                                        \
    consumed = total;                                                                        \
  }                                                                                          \
  static void NAME##_answer(void *pair, int batch, uint64_t count) {                         \
    void **peers = (void **)pair;                                                            \
    descriptor piece;                                                                        \
    (void)batch;                                                                             \
    while (count-- > 0) {                                                                    \
      while (GET(peers[0], &piece, 1) == 0) {}                                               \
      while (PUT(peers[1], &piece, 1) == 0) {}                                               \
    }                                                                                        \
  }                                                                                          \
  static void NAME##_call(void *pair, int batch, uint64_t count) {                           \
    void **peers = (void **)pair;                                                            \
    descriptor piece;                                                                        \
    (void)batch;                                                                             \
    for (uint64_t number = 0; number < count; number++) {                                    \
      int64_t start = nanoseconds();                                                         \
      fill(&piece, number);                                                                  \
      while (PUT(peers[0], &piece, 1) == 0) {}                                               \
      while (GET(peers[1], &piece, 1) == 0) {}                                               \
      if (piece.words[0] != number) exit(1);                                                 \
      trips[number] = nanoseconds() - start;                                                 \
    }                                                                                        \
  }                                                                                          \
  static void NAME##_measure(const char *name, void *(*make)(void), uint64_t count, uint64_t pings) { \
    for (int processes = 0; processes < 2; processes++) {                                    \
      for (int batch = 1; batch <= batch_max; batch += batch_max - 1)                        \
        measure_stream(name, processes, make(), NAME##_produce, NAME##_consume, batch, count); \
      void *pair[2] = {make(), make()};                                                      \
      measure_ping(name, processes, pair, NAME##_answer, NAME##_call, pings);                \
    }                                                                                        \
  }

#endif
