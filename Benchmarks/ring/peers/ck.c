// Concurrency Kit's ck_ring, single producer and single consumer, elements by value.
#define _GNU_SOURCE
#include <ck_ring.h>

#include "harness.h"

// As CK_RING_PROTOTYPE would define, for elements of 64 octets.
struct ring {
  ck_ring_t ring;
  descriptor slots[capacity];
};

CK_RING_PROTOTYPE(pieces, descriptor)

static int put(void *peer, descriptor *pieces, int count) {
  struct ring *ring = peer;
  int done = 0;
  while (done < count && CK_RING_ENQUEUE_SPSC(pieces, &ring->ring, ring->slots, &pieces[done])) done++;
  return done;
}

static int get(void *peer, descriptor *pieces, int count) {
  struct ring *ring = peer;
  int done = 0;
  while (done < count && CK_RING_DEQUEUE_SPSC(pieces, &ring->ring, ring->slots, &pieces[done])) done++;
  return done;
}

static void *make(void) {
  struct ring *ring = shared_memory(sizeof *ring);
  ck_ring_init(&ring->ring, capacity);
  return ring;
}

PEER(ck, put, get)

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  ck_measure("ck_ring", make, strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
  return 0;
}
