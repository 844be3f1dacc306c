// What Swift cannot import from libc: variadic functions, and macros with side effects. Nothing else belongs here.
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Each returns what the system call returns, or -1 with errno set.
int cplatform_open(const char *path, int flags, mode_t mode);
int cplatform_openat(int directory, const char *path, int flags, mode_t mode);
int cplatform_fcntl(int fd, int command, int argument);
int cplatform_memfd_create(const char *name, unsigned int flags);
int cplatform_pidfd_open(pid_t pid);
int cplatform_prctl(int option, unsigned long argument);

// futex(2) on a word that other processes may share. `timeout_ns` < 0 waits without limit.
// Wait returns 0 when woken or when *word != expected, -1 with ETIMEDOUT or EINTR.
int cplatform_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns);
int cplatform_futex_wake(uint32_t *word, int count);

// Sends or receives one message with at most one descriptor attached (SCM_RIGHTS). `fd` is -1 when there is none;
// a received descriptor is close-on-exec and belongs to the caller.
ssize_t cplatform_send_fd(int socket, const void *octets, size_t count, int fd);
ssize_t cplatform_receive_fd(int socket, void *octets, size_t count, int *fd);

// One step of a spin loop: tells the core that it waits.
static inline void cplatform_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
