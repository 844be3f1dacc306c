#include "CPlatform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int cplatform_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

int cplatform_openat(int directory, const char *path, int flags, mode_t mode) {
  return openat(directory, path, flags, mode);
}

int cplatform_fcntl(int fd, int command, int argument) { return fcntl(fd, command, argument); }

int cplatform_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int cplatform_seal_size(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); }

int cplatform_size_is_sealed(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) && (seals & F_SEAL_GROW);
}

int cplatform_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cplatform_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int cplatform_prctl(int option, unsigned long argument) { return prctl(option, argument, 0, 0, 0); }

int cplatform_accept(int socket, struct sockaddr *address, socklen_t *length) {
  return accept4(socket, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int cplatform_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns) {
  struct timespec limit, *pointer = NULL;
  if (timeout_ns >= 0) {
    limit.tv_sec = timeout_ns / 1000000000;
    limit.tv_nsec = timeout_ns % 1000000000;
    pointer = &limit;
  }
  if (syscall(SYS_futex, word, FUTEX_WAIT, expected, pointer, NULL, 0) == 0 || errno == EAGAIN) return 0;
  return -1;
}

int cplatform_futex_wake(uint32_t *word, int count) {
  return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

ssize_t cplatform_send_fd(int socket, const void *octets, size_t count, int fd) {
  struct iovec vector = {.iov_base = (void *)octets, .iov_len = count};
  union {
    struct cmsghdr align;
    char octets[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control.octets;
    message.msg_controllen = sizeof control.octets;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t cplatform_receive_fd(int socket, void *octets, size_t count, int *fd) {
  struct iovec vector = {.iov_base = octets, .iov_len = count};
  union {
    struct cmsghdr align;
    char octets[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.octets, .msg_controllen = sizeof control.octets};
  *fd = -1;
  ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (received < 0) return received;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS && *fd < 0)
      memcpy(fd, CMSG_DATA(header), sizeof *fd);
  return received;
}

int cplatform_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int cplatform_peer(int socket, uint32_t *user, int32_t *process) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
  *user = credentials.uid;
  *process = credentials.pid;
  return 0;
}
