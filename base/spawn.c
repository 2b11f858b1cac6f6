/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starting a program as a child process, as vfork(2) does: the child borrows the memory of the
 * daemon until execve(2), so that nothing is copied.
 *
 * Must not know: what programs are for.
 * Invariants: between clone(2) and execve(2) the child makes system calls only, and writes to
 * nothing but its stack and its result; the daemon does not run meanwhile, and none of its signal
 * handlers runs in the child.
 */
#include "base/spawn.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPAWN_STACK ((size_t)64 * 1024)
#define SPAWN_FAILED 127 /* exit status, seen by the daemon only */
#define SPAWN_PATH "/usr/local/bin:/usr/bin:/bin" /* without the variable PATH */

/* What the child is given, and its result. */
struct child {
	const struct spawn *spawn;
	int fd; /* of `spawn`, or the copy with a low number */
	rlim_t fd_limit;
	volatile int error;
};

/*
 * Ignored signals stay ignored over execve(2), and handlers must not run in the memory of the
 * daemon.
 */
static void reset_signals(void) {
	const struct sigaction normal = {.sa_handler = SIG_DFL};
	sigset_t none;
	for(int number = 1; number < NSIG; number++) {
		sigaction(number, &normal, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The first terminal that the leader of a session opens is its controlling terminal. */
static int open_terminal(const char *path) {
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if(fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0) {
		return -1;
	}
	for(int i = 0; i <= STDERR_FILENO; i++) {
		if(dup2(fd, i) < 0) {
			return -1;
		}
	}
	return 0;
}

static int set_standard(int fd, unsigned standard) {
	for(int i = 0; fd >= 0 && i <= STDERR_FILENO; i++) {
		if((standard & (1u << i)) && dup2(fd, i) < 0) {
			return -1;
		}
	}
	return 0;
}

/*
 * The descriptors are those of the daemon until here; from here on they are copies, of those below
 * `first` only, so that the number of the others does not count.
 */
static int take_descriptors(int first) {
	if(syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_UNSHARE) == 0) {
		return 0;
	}
	return unshare(CLONE_FILES); /* before Linux 5.9 */
}

/* The limit that was raised for the daemon. It cannot fail: it is lowered. */
static void lower_fd_limit(rlim_t max) {
	struct rlimit limit = {
		.rlim_cur = max < SPAWN_FD_LIMIT ? max : SPAWN_FD_LIMIT, .rlim_max = max};
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int __attribute__((no_sanitize("address", "undefined"))) child_run(void *ctx) {
	struct child *child = ctx;
	const struct spawn *spawn = child->spawn;
	int result =
		take_descriptors(child->fd + 1 > STDERR_FILENO ? child->fd + 1 : STDERR_FILENO + 1);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if(result == 0) {
		result = spawn->terminal ? open_terminal(spawn->terminal)
					 : set_standard(child->fd, spawn->standard);
	}
	if(result == 0) {
		/*
		 * All that the daemon opens is closed on exec; this is for what it was started
		 * with.
		 */
		syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
		lower_fd_limit(child->fd_limit);
		reset_signals();
		execve(spawn->path, spawn->argv, spawn->environment);
	}
	child->error = errno;
	_exit(SPAWN_FAILED);
}

static int start(struct child *child, void *stack, pid_t *pid, int *pidfd) {
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	int result = clone(child_run, (char *)stack + SPAWN_STACK,
		CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, child, pidfd);
	int error = result < 0 ? errno : child->error;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if(result < 0) {
		return -error;
	}
	if(error) {
		waitpid(result, NULL, 0);
		close(*pidfd);
		return -error;
	}
	*pid = result;
	return 0;
}

int spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd) {
	struct rlimit limit = {.rlim_max = SPAWN_FD_LIMIT};
	getrlimit(RLIMIT_NOFILE, &limit);
	const int *reserved = spawn->fd >= 0 ? spawn->reserved : NULL;
	struct child child = {.spawn = spawn, .fd = spawn->fd, .fd_limit = limit.rlim_max};
	void *stack = mmap(NULL, SPAWN_STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if(stack == MAP_FAILED) {
		return -ENOMEM;
	}
	bool copied = reserved && dup3(spawn->fd, reserved[1], O_CLOEXEC) >= 0;
	if(copied) {
		child.fd = reserved[1];
	}
	int result = start(&child, stack, pid, pidfd);
	if(copied) {
		dup3(reserved[0], reserved[1], O_CLOEXEC);
	}
	munmap(stack, SPAWN_STACK);
	return result;
}

/* ---- finding the file ---- */

static int check_file(const char *path) {
	struct stat status;
	if(stat(path, &status) < 0) {
		return -errno;
	}
	if(S_ISDIR(status.st_mode)) {
		return -EISDIR;
	}
	return S_ISREG(status.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

/* `folder` is not empty. Links stay: some programs look at the name that they are called by. */
static int find_in(struct slice folder, const char *name, char **out) {
	char *path;
	if(asprintf(&path, "%.*s/%s", (int)folder.len, folder.at, name) < 0) {
		return -ENOMEM;
	}
	int result = check_file(path);
	if(result) {
		free(path);
	} else {
		*out = path;
	}
	return result;
}

/* A file that cannot be executed is reported only if there is no other one. */
static int find_in_path(const char *name, char **out) {
	const char *path = getenv("PATH");
	struct slice rest = text_slice(path ? path : SPAWN_PATH);
	int result = -ENOENT;
	while(rest.len > 0) {
		struct slice folder = text_take(&rest, ':');
		int found = folder.len > 0 && folder.at[0] == '/' ? find_in(folder, name, out)
								  : -ENOENT;
		if(found == 0 || found == -ENOMEM) {
			return found;
		}
		result = found == -EACCES ? found : result;
	}
	return result;
}

int spawn_find(const char *name, char **out) {
	if(!strchr(name, '/')) {
		return find_in_path(name, out);
	}
	char *here = name[0] == '/' ? strdup("") : getcwd(NULL, 0);
	if(!here) {
		return -errno;
	}
	const char *below = name[0] == '/' ? name + 1 : name;
	int result = find_in(text_slice(here), below, out);
	free(here);
	return result;
}
