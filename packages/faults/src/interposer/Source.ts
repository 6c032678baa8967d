/**
 * The source of a library in front of the C library, for `LD_PRELOAD`. For the files in one directory, it records what
 * changes them, and can kill the process or fail a call.
 *
 * The calls on the directory run one at a time, so that the record has their exact order. Syncs are recorded and not
 * passed on, as no power is lost. Writes through memory maps are not seen: SQLite writes only its index of the log that
 * way, and rebuilds it.
 */
import { constants } from "node:os"
import { offsets, variables } from "./Layout.js"

const { SIGKILL } = constants.signals

export const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, READ };
enum action { NONE, KILL_BEFORE, KILL_AFTER, KILL_WITHIN, FAIL };

/* Shared with the parent process, which may change it at any time. */
struct control {
  int64_t calls, first, last;
  int32_t action, error, kinds, recording;
  char suffix[${offsets.end - offsets.suffix}];
};

/* A description of a call, before its two byte strings. */
struct head { int32_t kind, fd; int64_t offset; int32_t flags, first, second, unused; };

struct watched { int isOpen; dev_t dev; ino_t ino; char path[PATH_MAX]; };

#define FILES 4096
static struct watched *files[FILES];
static struct control nothing, *control = &nothing;
static const char *directory;
static size_t directoryLength;
static int record = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
  directory = getenv("${variables.directory}");
  if (directory == NULL) return;
  directoryLength = strlen(directory);
  const char *path = getenv("${variables.control}");
  int fd = path == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd >= 0) {
    void *shared = mmap(NULL, ${offsets.end}, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) control = shared;
    syscall(SYS_close, fd);
  }
  path = getenv("${variables.record}");
  if (path == NULL) return;
  fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  record = fcntl(fd, F_DUPFD_CLOEXEC, 1000);
  syscall(SYS_close, fd);
}

static int isWatched(const char *path) {
  return directory != NULL && path != NULL && strncmp(path, directory, directoryLength) == 0 &&
    (path[directoryLength] == '/' || path[directoryLength] == 0);
}

/* The watched file behind a descriptor. Node.js closes files without the C library, so another may have its number. */
static struct watched *watchedOf(int fd) {
  struct stat found;
  if (fd < 0 || fd >= FILES || files[fd] == NULL || !files[fd]->isOpen) return NULL;
  if (fstat(fd, &found) == 0 && found.st_dev == files[fd]->dev && found.st_ino == files[fd]->ino) return files[fd];
  files[fd]->isOpen = 0;
  return NULL;
}

static void remember(int fd, const char *path) {
  struct stat found;
  if (fd < 0 || fd >= FILES || fstat(fd, &found) != 0) return;
  if (files[fd] == NULL) files[fd] = malloc(sizeof(struct watched));
  files[fd]->isOpen = 1;
  files[fd]->dev = found.st_dev;
  files[fd]->ino = found.st_ino;
  strncpy(files[fd]->path, path, PATH_MAX - 1);
}

static void write_record(
  int kind, int fd, int64_t offset, int flags, const void *first, size_t firstLength, const void *second, size_t secondLength
) {
  if (record < 0 || !control->recording) return;
  struct head head = { kind, fd, offset, flags, (int32_t) firstLength, (int32_t) secondLength, 0 };
  struct iovec parts[3] = {
    { &head, sizeof head }, { (void *) first, firstLength }, { (void *) second, secondLength }
  };
  syscall(SYS_writev, record, parts, 3);
}

static void die(void) {
  syscall(SYS_kill, getpid(), ${SIGKILL});
  for (;;) syscall(SYS_getpid);
}

static int endsWith(const char *path, const char *suffix) {
  size_t length = strlen(path), end = strlen(suffix);
  return length >= end && strcmp(path + length - end, suffix) == 0;
}

/* Takes the lock, and returns what is to happen to this call. */
static int begin(int kind, const char *path) {
  pthread_mutex_lock(&mutex);
  if (!(control->kinds & (1 << kind)) || !endsWith(path, control->suffix)) return NONE;
  int64_t call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
  if (control->action == NONE || call < control->first || call > control->last) return NONE;
  if (control->action == KILL_BEFORE || (control->action == KILL_WITHIN && kind != WRITE)) die();
  return control->action;
}

static long end(int action, long result) {
  int error = errno;
  if (action == KILL_AFTER) die();
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

static long fail(int action) {
  errno = control->error;
  return end(NONE, -1);
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
  if (!isWatched(path)) return syscall(SYS_openat, at, path, flags, mode);
  /* Directories are opened to be synced. */
  int action = begin(OPEN, path);
  if (action == FAIL) return fail(action);
  int fd = syscall(SYS_openat, at, path, flags, mode);
  if (fd >= 0) {
    remember(fd, path);
    write_record(OPEN, fd, 0, flags, path, strlen(path), NULL, 0);
  }
  return end(action, fd);
}

#define MODE(flags) \\
  mode_t mode = 0; \\
  if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags); return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags); return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags); return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags); return open_at(at, path, flags, mode); }

static ssize_t write_raw(int fd, const void *bytes, size_t count, off_t offset) {
  return offset < 0 ? syscall(SYS_write, fd, bytes, count) : syscall(SYS_pwrite64, fd, bytes, count, offset);
}

/* A negative offset is the file's own. */
static ssize_t write_at(int fd, const void *bytes, size_t count, off_t offset) {
  struct watched *file = watchedOf(fd);
  if (file == NULL) return write_raw(fd, bytes, count, offset);
  int action = begin(WRITE, file->path);
  if (action == KILL_WITHIN) { write_raw(fd, bytes, count / 2, offset); die(); }
  /* A full disk takes what fits. */
  int isPartial = action == FAIL && control->error == ENOSPC && control->calls == control->first && count > 1;
  if (action == FAIL && !isPartial) return fail(action);
  ssize_t written = write_raw(fd, bytes, isPartial ? count / 2 : count, offset);
  if (written > 0) {
    off_t start = offset < 0 ? lseek(fd, 0, SEEK_CUR) - written : offset;
    write_record(WRITE, fd, start, 0, bytes, written, NULL, 0);
  }
  return end(action, written);
}

static ssize_t writev_at(int fd, const struct iovec *parts, int count, off_t offset) {
  ssize_t total = 0;
  for (int n = 0; n < count; n++) {
    if (parts[n].iov_len == 0) continue;
    ssize_t written = write_at(fd, parts[n].iov_base, parts[n].iov_len, offset < 0 ? offset : offset + total);
    if (written < 0) return total > 0 ? total : written;
    total += written;
    if ((size_t) written < parts[n].iov_len) break;
  }
  return total;
}

ssize_t write(int fd, const void *bytes, size_t count) { return write_at(fd, bytes, count, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return write_at(fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return write_at(fd, bytes, count, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return watchedOf(fd) == NULL ? syscall(SYS_writev, fd, parts, count) : writev_at(fd, parts, count, -1);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return watchedOf(fd) == NULL ? syscall(SYS_pwritev, fd, parts, count, offset, 0) : writev_at(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev(fd, parts, count, offset); }

static ssize_t read_at(int fd, void *bytes, size_t count, off_t offset) {
  struct watched *file = watchedOf(fd);
  int action = NONE;
  if (file != NULL) {
    action = begin(READ, file->path);
    if (action == FAIL) return fail(action);
  }
  ssize_t result = offset < 0 ? syscall(SYS_read, fd, bytes, count) : syscall(SYS_pread64, fd, bytes, count, offset);
  return file == NULL ? result : end(action, result);
}

ssize_t read(int fd, void *bytes, size_t count) { return read_at(fd, bytes, count, -1); }
ssize_t pread(int fd, void *bytes, size_t count, off_t offset) { return read_at(fd, bytes, count, offset); }
ssize_t pread64(int fd, void *bytes, size_t count, off_t offset) { return read_at(fd, bytes, count, offset); }

int ftruncate(int fd, off_t length) {
  struct watched *file = watchedOf(fd);
  if (file == NULL) return syscall(SYS_ftruncate, fd, length);
  int action = begin(TRUNCATE, file->path);
  if (action == FAIL) return fail(action);
  int result = syscall(SYS_ftruncate, fd, length);
  if (result == 0) write_record(TRUNCATE, fd, length, 0, NULL, 0, NULL, 0);
  return end(action, result);
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

static int sync_file(int fd, int number) {
  struct watched *file = watchedOf(fd);
  if (file == NULL) return syscall(number, fd);
  int action = begin(SYNC, file->path);
  if (action == FAIL) return fail(action);
  write_record(SYNC, fd, 0, 0, NULL, 0, NULL, 0);
  return end(action, 0);
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

static int rename_at(int fromAt, const char *from, int toAt, const char *to, unsigned flags) {
  if (!isWatched(from) && !isWatched(to)) return syscall(SYS_renameat2, fromAt, from, toAt, to, flags);
  int action = begin(RENAME, to);
  if (action == FAIL) return fail(action);
  int result = syscall(SYS_renameat2, fromAt, from, toAt, to, flags);
  if (result == 0) write_record(RENAME, 0, 0, 0, from, strlen(from), to, strlen(to));
  return end(action, result);
}
int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int fromAt, const char *from, int toAt, const char *to) { return rename_at(fromAt, from, toAt, to, 0); }
int renameat2(int fromAt, const char *from, int toAt, const char *to, unsigned flags) {
  return rename_at(fromAt, from, toAt, to, flags);
}

static int remove_at(int at, const char *path, int flags) {
  if (!isWatched(path)) return syscall(SYS_unlinkat, at, path, flags);
  int kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
  int action = begin(kind, path);
  if (action == FAIL) return fail(action);
  int result = syscall(SYS_unlinkat, at, path, flags);
  if (result == 0) write_record(kind, 0, 0, 0, path, strlen(path), NULL, 0);
  return end(action, result);
}
int unlink(const char *path) { return remove_at(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return remove_at(at, path, flags); }
int rmdir(const char *path) { return remove_at(AT_FDCWD, path, AT_REMOVEDIR); }

static int mkdir_at(int at, const char *path, mode_t mode) {
  if (!isWatched(path)) return syscall(SYS_mkdirat, at, path, mode);
  int action = begin(MKDIR, path);
  if (action == FAIL) return fail(action);
  int result = syscall(SYS_mkdirat, at, path, mode);
  if (result == 0) write_record(MKDIR, 0, 0, 0, path, strlen(path), NULL, 0);
  return end(action, result);
}
int mkdir(const char *path, mode_t mode) { return mkdir_at(AT_FDCWD, path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { return mkdir_at(at, path, mode); }

char *mkdtemp(char *template) {
  char *(*next)(char *) = (char *(*)(char *)) dlsym(RTLD_NEXT, "mkdtemp");
  if (!isWatched(template)) return next(template);
  int action = begin(MKDIR, template);
  if (action == FAIL) { fail(action); return NULL; }
  char *result = next(template);
  if (result != NULL) write_record(MKDIR, 0, 0, 0, result, strlen(result), NULL, 0);
  end(action, 0);
  return result;
}
`
