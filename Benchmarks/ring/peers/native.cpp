// The native peers: boost::lockfree::spsc_queue, DPDK's rte_ring with elements by value, and a pipe.
#include "harness.h"

#include <rte_config.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <boost/lockfree/spsc_queue.hpp>
#include <new>

using Boost = boost::lockfree::spsc_queue<descriptor, boost::lockfree::capacity<capacity>>;

static int boost_put(void *peer, descriptor *pieces, int count) {
  if (count == 1) return static_cast<Boost *>(peer)->push(*pieces);
  return static_cast<int>(static_cast<Boost *>(peer)->push(pieces, static_cast<size_t>(count)));
}
static int boost_get(void *peer, descriptor *pieces, int count) {
  if (count == 1) return static_cast<Boost *>(peer)->pop(*pieces);
  return static_cast<int>(static_cast<Boost *>(peer)->pop(pieces, static_cast<size_t>(count)));
}
static void *boost_make() { return new (shared_memory(sizeof(Boost))) Boost; }
PEER(boost, boost_put, boost_get)

static int rte_put(void *peer, descriptor *pieces, int count) {
  return static_cast<int>(rte_ring_sp_enqueue_burst_elem(
      static_cast<rte_ring *>(peer), pieces, sizeof *pieces, static_cast<unsigned>(count), nullptr));
}
static int rte_get(void *peer, descriptor *pieces, int count) {
  return static_cast<int>(rte_ring_sc_dequeue_burst_elem(
      static_cast<rte_ring *>(peer), pieces, sizeof *pieces, static_cast<unsigned>(count), nullptr));
}
static void *rte_make() {
  // An exact capacity of 1024 takes a ring of 2048.
  auto ring = static_cast<rte_ring *>(shared_memory(rte_ring_get_memsize_elem(sizeof(descriptor), 2 * capacity)));
  if (rte_ring_init(ring, "peer", capacity, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0) exit(2);
  return ring;
}
PEER(rte, rte_put, rte_get)

static int pipe_put(void *peer, descriptor *pieces, int count) {
  ssize_t written = write(static_cast<int *>(peer)[1], pieces, sizeof *pieces * static_cast<size_t>(count));
  return written < 0 ? 0 : static_cast<int>(written / static_cast<ssize_t>(sizeof *pieces));
}
static int pipe_get(void *peer, descriptor *pieces, int count) {
  ssize_t got = read(static_cast<int *>(peer)[0], pieces, sizeof *pieces * static_cast<size_t>(count));
  return got < 0 ? 0 : static_cast<int>(got / static_cast<ssize_t>(sizeof *pieces));
}
static void *pipe_make() {
  int *ends = static_cast<int *>(malloc(2 * sizeof(int)));
  if (pipe(ends) != 0) exit(2);
  return ends;
}
PEER(pipe, pipe_put, pipe_get)

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  uint64_t count = strtoull(argv[2], nullptr, 10), pings = strtoull(argv[3], nullptr, 10);
  if (strcmp(argv[1], "boost") == 0) boost_measure("boost spsc_queue", boost_make, count, pings);
  if (strcmp(argv[1], "rte") == 0) rte_measure("DPDK rte_ring", rte_make, count, pings);
  if (strcmp(argv[1], "pipe") == 0) pipe_measure("pipe", pipe_make, count, pings);
  return 0;
}
