/* The least that a correct server of the protocol Line can do on Linux: one thread, one epoll, buffers shared by all
 * connections, one write for all lines of a read. It has no limits, timeouts, metrics or drain. It is the measure for
 * `make bench-echo`, not a product: a descriptor beyond MOST ends it.
 *
 * There are three loops, one for each LOOP, and the best of them under a load is the measure of that load:
 * LEVEL   level-triggered; a socket with output to send is watched for that instead;
 * EDGE    edge-triggered; each socket is watched for everything once, and read until it is empty;
 * PHASES  level-triggered; all sockets that are ready are read, and then all answers sent. */
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
#define EVENTS 1024

#define LEVEL 1
#define EDGE 2
#define PHASES 3
#ifndef LOOP
#error "compile with -DLOOP=LEVEL, EDGE or PHASES"
#endif

/* The bytes of an answer to one read, if all its lines are empty. */
#define ANSWER_BYTES (READ_BYTES * (PREFIX_BYTES + 1) + PREFIX_BYTES + 3)
#define ANSWERS_BYTES (LOOP == PHASES ? 4 * ANSWER_BYTES : ANSWER_BYTES)

/* Where a conversation is, and what it is owed. */
struct connection {
  char *owed;
  unsigned owed_from, owed_bytes;
  unsigned char is_open, holds_carriage_return, exit_bytes, is_over, is_ending;
};

static struct connection connections[MOST];
static char question[READ_BYTES];
static char answers[ANSWERS_BYTES];
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
  if (LOOP == EDGE) return;
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

/* Receives once, and writes the answer to `out`. Gives its end, or nothing if nothing was received. */
static char *receive(int fd, char *out, ssize_t *bytes) {
  struct connection *c = &connections[fd];
  *bytes = recv(fd, question, sizeof question, 0);
  if (*bytes < 0 && errno == EAGAIN) return NULL;
  if (*bytes < 0 || (*bytes == 0 && c->is_over)) {
    end(fd);
    return NULL;
  }
  if (*bytes > 0) {
    if (c->is_over) return out;
    return answer_bytes(c, question, *bytes, out);
  }
  if (c->holds_carriage_return) *out++ = '\r';
  if (c->is_open) *out++ = '\n';
  c->is_ending = 1;
  return out;
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
    unsigned events = LOOP == EDGE ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : EPOLLIN;
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
}

#if LOOP == EDGE
/* Sends and receives until the socket takes no more or is empty. After a read that has not filled the buffer it is
 * empty, unless the client has ended its output, of which no other event tells. */
static void process(int fd, unsigned events) {
  struct connection *c = &connections[fd];
  ssize_t bytes = sizeof question;
  if (c->owed) send_owed(fd);
  else if (!(events & ~EPOLLOUT)) return;
  while (!c->owed && (bytes == sizeof question || (bytes > 0 && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))) {
    char *out = receive(fd, answers, &bytes);
    if (!out) return;
    send_answer(fd, answers, out - answers);
  }
}
#elif LOOP == LEVEL
static void process(int fd) {
  ssize_t bytes;
  if (connections[fd].owed) {
    send_owed(fd);
    return;
  }
  char *out = receive(fd, answers, &bytes);
  if (out) send_answer(fd, answers, out - answers);
}
#endif

#if LOOP == PHASES
/* Receives from all sockets that are ready, as far as the answers fit, and then sends all answers. */
static void process_all(const struct epoll_event *events, int ready, int listener) {
  static struct { int fd; char *from, *to; } unsent[EVENTS];
  int index = 0;
  while (index < ready) {
    int count = 0;
    char *out = answers;
    for (; index < ready && answers + sizeof answers - out >= (ssize_t)ANSWER_BYTES; index++) {
      int fd = events[index].data.fd;
      ssize_t bytes;
      if (fd == listener) {
        take_connections(listener);
      } else if (connections[fd].owed) {
        send_owed(fd);
      } else {
        char *to = receive(fd, out, &bytes);
        if (!to) continue;
        unsent[count].fd = fd;
        unsent[count].from = out;
        unsent[count++].to = out = to;
      }
    }
    for (int place = 0; place < count; place++)
      send_answer(unsent[place].fd, unsent[place].from, unsent[place].to - unsent[place].from);
  }
}
#endif

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
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
  for (;;) {
    int ready = epoll_wait(poll_fd, events, EVENTS, -1);
#if LOOP == PHASES
    process_all(events, ready, listener);
#else
    for (int index = 0; index < ready; index++) {
      int fd = events[index].data.fd;
      if (fd == listener)
        take_connections(listener);
      else
#if LOOP == EDGE
        process(fd, events[index].events);
#else
        process(fd);
#endif
    }
#endif
  }
}
