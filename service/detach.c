/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Detaching, with two forks: the daemon is not the leader of its session, so that no terminal that
 * it opens becomes its controlling terminal.
 *
 *     started ── waits for ──> leader ── waits for ──> daemon
 *
 * Must not know: when the daemon is ready.
 * Invariants: the process that was started exits with 0 exactly if the daemon has become ready.
 */
#include "service/detach.h"

#include "base/log.h"
#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DETACH_UMASK 027

/* Exits like the child `pid`. */
static void exit_like(pid_t pid) {
	int status = 0;
	if(RETRY_INTERRUPTED(waitpid(pid, &status, 0)) < 0) {
		_exit(EXIT_FAILURE);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* The leader of the session: exits when the daemon is ready, or with it. */
static void wait_ready(int fd, pid_t pid) {
	char byte;
	if(RETRY_INTERRUPTED(read(fd, &byte, 1)) == 1) {
		_exit(EXIT_SUCCESS);
	}
	exit_like(pid);
}

/* In the leader. Returns in the daemon only, or with an error. */
static int fork_daemon(struct detach *detach) {
	int fds[2];
	if(setsid() < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	if(pid < 0) {
		return -errno;
	}
	if(pid > 0) {
		close(fds[1]);
		wait_ready(fds[0], pid);
	}
	close(fds[0]);
	detach->ready_fd = fds[1];
	detach->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if(detach->null_fd < 0) {
		return -errno;
	}
	umask(DETACH_UMASK);
	return 0;
}

/* The log may have a descriptor of its own. */
static void close_inherited(const struct detach *detach, int first_fd) {
	int first = first_fd;
	log_close();
	for(size_t i = 0; i < DETACH_KEEP_MAX; i++) {
		int kept = detach->keep_fd[i];
		if(kept < first) {
			continue;
		}
		if(kept > first) {
			close_range((unsigned)first, (unsigned)kept - 1, 0);
		}
		first = kept + 1;
	}
	close_range((unsigned)first, UINT_MAX, 0);
	log_open();
}

int detach_begin(struct detach *detach, int first_fd) {
	pid_t pid = fork();
	if(pid < 0) {
		return -errno;
	}
	if(pid > 0) {
		exit_like(pid);
	}
	close_inherited(detach, first_fd);
	return fork_daemon(detach);
}

int detach_streams(struct detach *detach, bool keep_error) {
	if(detach->ready_fd == 0) {
		return STDERR_FILENO;
	}
	detach->error_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	for(int fd = STDIN_FILENO; fd <= (keep_error ? STDOUT_FILENO : STDERR_FILENO); fd++) {
		dup2(detach->null_fd, fd);
	}
	close(detach->null_fd);
	return detach->error_fd;
}

void detach_ready(struct detach *detach) {
	if(detach->ready_fd == 0) {
		return;
	}
	if(detach->error_fd > 0) {
		close(detach->error_fd);
	}
	if(chdir("/") < 0 || RETRY_INTERRUPTED(write(detach->ready_fd, "", 1)) != 1) {
		/* The process that was started has been killed: there is nothing to tell. */
	}
	close(detach->ready_fd);
	detach->ready_fd = 0;
}
