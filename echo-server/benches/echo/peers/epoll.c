/* The least that a correct server of the protocol Line can do on Linux: one thread, one epoll, buffers shared by all
 * connections, one write for all lines of a read. It has no limits, timeouts, metrics or drain. It is the measure for
 * `make bench-echo`, not a product: a descriptor beyond MOST ends it. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX "Server received: "
#define PREFIX_BYTES (sizeof PREFIX - 1)
#define MOST 20000
#define READ_BYTES 65536
#define NOT_EXIT 5

/* Where a conversation is, and what it is owed. */
struct connection {
  char *owed;
  unsigned owed_from, owed_bytes;
  unsigned char is_open, holds_carriage_return, exit_bytes, is_over, is_ending;
};

static struct connection connections[MOST];
static char question[READ_BYTES];
static char answer[READ_BYTES * (PREFIX_BYTES + 1) + PREFIX_BYTES + 3]; /* if all lines are empty */
static int poll_fd;

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* Answers bytes, and gives the end of the answer. */
static char *answer_bytes(struct connection *c, const char *in, size_t bytes, char *out) {
  while (bytes > 0 && !c->is_over) {
    const char *line_feed = memchr(in, '\n', bytes);
    size_t length = line_feed ? (size_t)(line_feed - in) : bytes;
    if (!c->is_open) {
      memcpy(out, PREFIX, PREFIX_BYTES);
      out += PREFIX_BYTES;
      c->is_open = 1;
    }
    if (length > 0) {
      if (c->holds_carriage_return) {
        *out++ = '\r';
        c->exit_bytes = NOT_EXIT;
      }
      c->holds_carriage_return = in[length - 1] == '\r';
      size_t kept = length - c->holds_carriage_return;
      memcpy(out, in, kept);
      out += kept;
      if (c->exit_bytes + kept <= 4 && memcmp("exit" + c->exit_bytes, in, kept) == 0)
        c->exit_bytes += kept;
      else
        c->exit_bytes = NOT_EXIT;
    }
    if (line_feed) {
      *out++ = '\n';
      c->is_over = c->exit_bytes == 4;
      c->is_open = c->holds_carriage_return = c->exit_bytes = 0;
      length++;
    }
    in += length;
    bytes -= length;
  }
  return out;
}

static void watch(int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event) < 0) die("epoll_ctl");
}

static void end(int fd) {
  free(connections[fd].owed);
  memset(&connections[fd], 0, sizeof connections[fd]);
  close(fd);
}

/* After the last answer: closes, or after "exit" closes one side and waits for the client to do the same. */
static void answered(int fd) {
  struct connection *c = &connections[fd];
  if (c->is_ending)
    end(fd);
  else if (c->is_over)
    shutdown(fd, SHUT_WR);
}

/* Sends an answer, and keeps what the socket does not take. */
static void send_answer(int fd, const char *from, size_t bytes) {
  struct connection *c = &connections[fd];
  ssize_t sent = bytes ? send(fd, from, bytes, MSG_NOSIGNAL) : 0;
  if (sent < 0 && errno != EAGAIN) {
    end(fd);
    return;
  }
  if (sent < 0) sent = 0;
  if ((size_t)sent == bytes) {
    answered(fd);
    return;
  }
  c->owed_bytes = bytes - sent;
  c->owed_from = 0;
  c->owed = malloc(c->owed_bytes);
  if (!c->owed) die("malloc");
  memcpy(c->owed, from + sent, c->owed_bytes);
  watch(fd, EPOLLOUT);
}

static void receive(int fd) {
  struct connection *c = &connections[fd];
  ssize_t bytes = recv(fd, question, sizeof question, 0);
  if (bytes < 0 && errno == EAGAIN) return;
  if (bytes < 0 || (bytes == 0 && c->is_over)) {
    end(fd);
    return;
  }
  char *out = answer;
  if (bytes > 0) {
    if (c->is_over) return;
    out = answer_bytes(c, question, bytes, out);
  } else {
    if (c->holds_carriage_return) *out++ = '\r';
    if (c->is_open) *out++ = '\n';
    c->is_ending = 1;
  }
  send_answer(fd, answer, out - answer);
}

static void send_owed(int fd) {
  struct connection *c = &connections[fd];
  ssize_t sent = send(fd, c->owed + c->owed_from, c->owed_bytes, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) end(fd);
    return;
  }
  c->owed_from += sent;
  c->owed_bytes -= sent;
  if (c->owed_bytes > 0) return;
  free(c->owed);
  c->owed = NULL;
  watch(fd, EPOLLIN);
  answered(fd);
}

static void take_connections(int listener) {
  for (int count = 0; count < 64; count++) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MOST) die("too many connections");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
}

int main(int count, char **arguments) {
  struct rlimit descriptors;
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(arguments[1]) : 12345)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by its connections */
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(listener, 4096) < 0) die("listen");
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[1024];
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
  for (;;) {
    int ready = epoll_wait(poll_fd, events, 1024, -1);
    for (int index = 0; index < ready; index++) {
      int fd = events[index].data.fd;
      if (fd == listener)
        take_connections(listener);
      else if (connections[fd].owed)
        send_owed(fd);
      else
        receive(fd);
    }
  }
}
