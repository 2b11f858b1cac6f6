/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Protection of the secrets in memory.
 *
 * Must not know: which secrets there are.
 */
#include "service/hardening.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int hardening_hide_memory(void) {
	const struct rlimit none = {0};
	if(setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		return -errno;
	}
	return 0;
}
