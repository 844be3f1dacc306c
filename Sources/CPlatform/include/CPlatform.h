// What Swift cannot import from libc: variadic functions, macros with side effects, and the headers that the Glibc
// module leaves out. Nothing else belongs here.
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>

// Each returns what the system call returns, or -1 with errno set.
int cplatform_open(const char *path, int flags, mode_t mode);
int cplatform_openat(int directory, const char *path, int flags, mode_t mode);
int cplatform_fcntl(int fd, int command, int argument);
// Anonymous memory as a file, closed on exec, that can be sealed.
int cplatform_memfd_create(const char *name);
// Forbids for ever that the memfd shrinks or grows. 0, or -1 with errno.
int cplatform_seal_size(int fd);
// 1 when the file's size can never change, 0 when it can or the file knows no seals.
int cplatform_size_is_sealed(int fd);
// Closed on exec, never blocking, count 0.
int cplatform_eventfd(void);
int cplatform_pidfd_open(pid_t pid);
int cplatform_prctl(int option, unsigned long argument);
// The next waiting connection, closed on exec, never blocking; its address at `address` when that is not NULL.
int cplatform_accept(int socket, struct sockaddr *address, socklen_t *length);

// Who is at the other end of a local socket (SO_PEERCRED). 0, or -1 with errno.
int cplatform_peer(int socket, uint32_t *user, int32_t *process);

// futex(2) on a word that other processes may share. `timeout_ns` < 0 waits without limit.
// Wait returns 0 when woken or when *word != expected, -1 with ETIMEDOUT or EINTR.
int cplatform_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns);
int cplatform_futex_wake(uint32_t *word, int count);

// Sends or receives one message with at most one descriptor attached (SCM_RIGHTS). `fd` is -1 when there is none;
// a received descriptor is close-on-exec and belongs to the caller.
ssize_t cplatform_send_fd(int socket, const void *octets, size_t count, int fd);
ssize_t cplatform_receive_fd(int socket, void *octets, size_t count, int *fd);

// epoll(7): the header's values are enumerations, which Swift imports as a type of their own.
enum {
  CPLATFORM_EPOLL_CLOEXEC = EPOLL_CLOEXEC,
  CPLATFORM_EPOLL_ADD = EPOLL_CTL_ADD,
  CPLATFORM_EPOLL_MOD = EPOLL_CTL_MOD,
  CPLATFORM_EPOLL_DEL = EPOLL_CTL_DEL,
  CPLATFORM_EPOLLIN = EPOLLIN,
  CPLATFORM_EPOLLOUT = EPOLLOUT,
  CPLATFORM_EPOLLHUP = EPOLLHUP,
  CPLATFORM_EPOLLERR = EPOLLERR,
};

// Closes every descriptor from `first` on in the child. 0, or an error number.
int cplatform_spawn_close_from(posix_spawn_file_actions_t *actions, int first);

// One step of a spin loop: tells the core that it waits.
static inline void cplatform_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Fetch a cache line ahead of reading it, or ahead of writing it (taking it from the core that has it). Hints: any
// address may be given.
static inline void cplatform_prefetch(const void *line) { __builtin_prefetch(line, 0, 3); }
static inline void cplatform_prefetch_to_write(void *line) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
  __builtin_prefetch(line, 1, 3);
#endif
}

#endif
