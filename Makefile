# Build, install and check websocksy.
#
#   make                      the daemon and its plugins
#   make debug                the same in build/debug: no optimization, sanitizers, LOOP_CHECK
#   make check                the fast checks: layers, unit tests, format
#   make test                 all checks (tests/run.sh)
#   make format               clang-format on the sources
#   make install DESTDIR= PREFIX=/usr/local
#   make uninstall, make clean, make bench
#
# Variables: CC, CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS as usual; OUT=build/x builds into that directory;
# SANITIZE=address,undefined; WERROR=1; PLUGINPATH=/abs/dir is the default of the option plugin-path.

PREFIX ?= /usr/local
OUT ?= .
CC ?= cc
PKG_CONFIG ?= pkg-config

ifneq ($(words $(CURDIR)),1)
$(error make cannot build in a directory whose path contains a blank: "$(CURDIR)")
endif
out := $(abspath $(OUT))
obj := $(out)/obj
binary := $(out)/websocksy
plugin_out := $(out)/plugins
libdir := $(PREFIX)/lib/websocksy

# The default plugin directory is absolute: it never depends on where the daemon is started from.
# `make install` builds the copy that it installs with the directory it installs plugins to.
PLUGINPATH ?= $(plugin_out)

libraries := gnutls nettle libcares
version := $(shell sed -n 's/^.define WEBSOCKSY_VERSION "\(.*\)"/\1/p' websocksy.h)
CFLAGS ?= -O2 -g
warnings := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
supported = $(shell echo | $(CC) -Werror $(1) -fsyntax-only -x c - >/dev/null 2>&1 && echo $(1))
# Landing pads for indirect branches cost instructions and Linux does not check them in user space: return only.
# Variables of the user come last and can switch protections off.
protections := -fPIE
protections += $(foreach flag,-fstack-clash-protection -fcf-protection=return,$(call supported,$(flag)))
# It needs optimization, and a value of the user or a sanitizer excludes it.
ifeq ($(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS))$(SANITIZE),)
protections += $(if $(filter -O%,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
cflags := -std=gnu11 $(warnings) $(protections) -fvisibility=hidden -fno-strict-aliasing -D_GNU_SOURCE -I. -pthread \
	$(shell $(PKG_CONFIG) --cflags $(libraries) 2>/dev/null) $(CPPFLAGS) $(CFLAGS)
ldlibs := $(shell $(PKG_CONFIG) --libs $(libraries) 2>/dev/null) -lcrypt -ldl $(LDLIBS)
relro := -Wl,-z,relro,-z,now
ldflags := -pie -Wl,--export-dynamic $(relro) $(LDFLAGS)
ifdef SANITIZE
# LOOP_CHECK turns a lost wake-up into an assertion; it costs memory, so only check builds have it.
cflags += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -DLOOP_CHECK
ldflags += -fsanitize=$(SANITIZE)
# The daemon contains the sanitizers, for its plugins too: it starts and ends in half the time, because the check for
# leaks has to look at the variables of one run-time library and not of two. Clang does so without options.
runtimes := $(foreach name,asan ubsan,$(if $(findstring /,$(shell $(CC) -print-file-name=lib$(name).a)), \
	$(call supported,-static-lib$(name))))
plugin_libraries := -nodefaultlibs -lc
# Nothing to relocate at each start either.
ldflags += $(call supported,-no-pie)
endif
ifdef WERROR
cflags += -Werror
endif

# Goals that compile nothing need no libraries.
without_build := clean format uninstall test debug
ifneq ($(filter-out $(without_build),$(or $(MAKECMDGOALS),all)),)
missing := $(shell command -v $(firstword $(CC)) >/dev/null || echo "$(firstword $(CC))"; \
	command -v $(firstword $(PKG_CONFIG)) >/dev/null || echo "$(firstword $(PKG_CONFIG))"; \
	for library in $(libraries); do $(PKG_CONFIG) --exists $$library 2>/dev/null || echo $$library; done; \
	echo '\#include <crypt.h>' | $(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 || echo libcrypt)
ifneq ($(strip $(missing)),)
$(error not found: $(strip $(missing)). Debian has them in: gcc libc6-dev pkg-config libgnutls28-dev nettle-dev \
	libc-ares-dev libcrypt-dev)
endif
endif

# The layers, lowest first: each may use itself and those before it (tests/layers.py checks that).
layers := base websocket network http plugin service config bridge supervisor compat
base_sources := $(wildcard base/*.c)
websocket_sources := websocket.c $(wildcard websocket/*.c)
network_sources := network.c $(wildcard network/*.c)
http_sources := $(wildcard http/*.c)
plugin_sources := plugin.c builtins.c $(wildcard plugin/*.c)
service_sources := $(wildcard service/*.c)
config_sources := config.c $(wildcard config/*.c)
bridge_sources := $(wildcard bridge/*.c)
supervisor_sources := supervisor.c $(wildcard supervisor/*.c)
compat_sources := $(wildcard compat/*.c)
sources := $(foreach layer,$(layers),$($(layer)_sources)) websocksy.c
objects := $(sources:%.c=$(obj)/%.o)
folders := $(sort $(obj) $(patsubst %/,%,$(dir $(objects))))
plugins := $(patsubst plugins/%.c,$(plugin_out)/%.so,$(wildcard plugins/*.c))

# Not part of the daemon: it is preloaded into programs (wrap = port).
preload_out := $(out)/preload
preloads := $(preload_out)/rebind.so

# Under these names the daemon has the command lines of websockify and wsproxy.
compat_names := websockify run wsproxy
compat_links := $(compat_names:%=$(out)/compat/%)

.PHONY: all plugins compat clean install uninstall debug test check format
all: $(binary) plugins $(preloads) compat
plugins: $(plugins)
compat: $(compat_links)
$(compat_links): | $(out)/compat
	ln -sf ../websocksy $@

# What was built with other settings is built again. The file has the form of arguments of make.
define settings
CC=$(CC)
CPPFLAGS=$(CPPFLAGS)
CFLAGS=$(CFLAGS)
LDFLAGS=$(LDFLAGS)
LDLIBS=$(LDLIBS)
SANITIZE=$(SANITIZE)
endef
export settings
$(obj)/settings: FORCE | $(obj)
	@printf '%s\n' "$$settings" | cmp -s - $@ || printf '%s\n' "$$settings" > $@

$(binary): $(objects) $(obj)/settings
	$(CC) $(cflags) $(ldflags) $(runtimes) -o $@ $(objects) $(ldlibs)

$(obj)/%.o: %.c Makefile $(obj)/settings | $(folders)
	$(CC) $(protector) $(cflags) -MMD -MP $(defines) -c -o $@ $<

# In the code that runs for each message only functions with buffers are protected: the rest would cost 5 % more
# instructions for an echo.
protector = -fstack-protector-strong
$(patsubst %,$(obj)/%.o,base/loop websocket network network/stream \
	bridge/messages bridge/to_client bridge/to_peer): protector = -fstack-protector

# The path is part of this object; a change of the path rebuilds it.
$(obj)/config/table.o: defines = -DWEBSOCKSY_PLUGINPATH='"$(PLUGINPATH)"' -DWEBSOCKSY_REBIND='"$(preloads)"'
$(obj)/config/table.o: $(obj)/pluginpath
$(obj)/pluginpath: FORCE | $(obj)
	@printf '%s\n' '$(PLUGINPATH)' | cmp -s - $@ || printf '%s\n' '$(PLUGINPATH)' > $@
.PHONY: FORCE
FORCE:

uses_backend_jwt := duration json json_steps reading reply target
libs_backend_jwt := -lgnutls
uses_backend_token := duration reading target
uses_backend_url := duration target
# A plugin is plugins/NAME.c and, if it is large, the files in plugins/NAME/; uses_NAME lists the files of plugins/common/
# that it shares with others (without .c), libs_NAME its libraries.
uses_json := json_steps
uses_backend_redis := json json_steps duration reply server target
uses_backend_http := json json_steps duration reply server target
$(foreach name,$(plugins:$(plugin_out)/%.so=%), \
	$(eval $(plugin_out)/$(name).so: $(wildcard plugins/$(name)/*.[ch]) \
		$(foreach shared,$(uses_$(name)),$(wildcard plugins/common/$(shared).[ch]))))
$(plugin_out)/%.so: plugins/%.c websocksy.h websocksy_plugin.h Makefile $(obj)/settings | $(plugin_out)
	$(CC) $(protector) $(cflags) -fPIC -shared -I. -o $@ $(filter %.c,$^) $(relro) $(LDFLAGS) $(libs_$*) $(plugin_libraries)

# Without sanitizers, which a program cannot load behind its start.
$(preload_out)/%.so: preload/%.c Makefile $(obj)/settings | $(preload_out)
	$(CC) -std=gnu11 $(warnings) $(if $(WERROR),-Werror) -fvisibility=hidden -D_GNU_SOURCE -O2 -g -fPIC -shared \
		$(CPPFLAGS) -o $@ $< $(relro) $(LDFLAGS) -ldl

$(sort $(folders) $(plugin_out) $(preload_out) $(out)/compat):
	mkdir -p $@

clean:
	rm -rf $(obj) $(binary) $(compat_links) $(plugin_out)/*.so $(preload_out)/*.so build

-include $(objects:.o=.d)

# Unit tests: one cmocka program per file, linked with the layer that it tests and those below, and nothing else. From an
# archive that only names its members, and by gold where it is: each link takes a sixth of the time.
unit_linker := $(if $(shell command -v ld.gold),-fuse-ld=gold)
below :=
define unit_layer
below += $$($(1)_sources:%.c=$$(obj)/%.o)
$$(out)/unit/$(1).a: $$(below)
endef
$(foreach layer,$(layers),$(eval $(call unit_layer,$(layer))))
$(layers:%=$(out)/unit/%.a):
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcsT $@ $^
define unit_program
unit_programs += $$(patsubst tests/unit/%.c,$$(out)/unit/%,$$(wildcard tests/unit/$(2).c))
$$(patsubst tests/unit/%.c,$$(out)/unit/%,$$(wildcard tests/unit/$(2).c)): $$(out)/unit/%: $$(out)/unit/%.o \
		$$(out)/unit/$(1).a
	$$(CC) $$(cflags) $$(ldflags) $$(unit_linker) -o $$@ $$^ $$(ldlibs) -lcmocka
endef
$(foreach layer,base websocket network http plugin service config bridge supervisor compat, \
	$(eval $(call unit_program,$(layer),$(layer)/test_*)))
$(eval $(call unit_program,plugin,plugins/test_*))
.PHONY: unit unit-objects
unit: $(unit_programs)
unit-objects: $(unit_programs:=.o)
$(unit_programs:=.o): $(out)/unit/%.o: tests/unit/%.c Makefile $(obj)/settings
	@mkdir -p $(@D)
	$(CC) $(cflags) -MMD -MP -Itests/unit -c -o $@ $<
# Library calls that a test makes fail, counts, or answers itself.
$(out)/unit/network/test_tls_stream_failures: ldflags += -Wl,--wrap=gnutls_record_recv,--wrap=gnutls_record_check_pending
$(out)/unit/network/test_listener: ldflags += -Wl,--wrap=accept4,--wrap=bind,--wrap=getsockname,--wrap=epoll_ctl
$(out)/unit/network/test_connect: ldflags += -Wl,--wrap=connect,--wrap=clock_gettime
$(out)/unit/base/test_loop $(out)/unit/base/test_loop_% $(out)/unit/base/test_process: ldflags += -Wl,--wrap=clock_gettime
$(out)/unit/base/test_file: ldflags += -Wl,--wrap=fstat
$(out)/unit/network/test_watch: ldflags += -Wl,--wrap=clock_gettime
$(out)/unit/http/test_passwords: ldflags += -Wl,--wrap=read
$(out)/unit/http/test_site_traps: ldflags += -Wl,--wrap=syscall
$(out)/unit/service/test_record: ldflags += -Wl,--wrap=write
-include $(unit_programs:=.d)

# The fast checks. These targets are never made, so that each `make check` runs all programs.
unit_runs := $(unit_programs:=.run)
$(unit_runs): %.run: %
	@echo '$(<:$(out)/%=%)'; $< >$<.log 2>&1 || { cat $<.log; exit 1; }
formatted := $(sort $(wildcard $(sources) $(sources:.c=.h) $(addsuffix /*.h,$(layers)) websocksy.h websocksy_plugin.h preload/*.c plugins/*.[ch] \
	plugins/*/*.[ch] examples/*.c))
.PHONY: check-layers check-format $(unit_runs)
check-layers: $(objects)
	/usr/bin/env python3 tests/layers.py $(obj)
check-format:
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $(formatted); \
	else echo 'clang-format is not installed: the format is not checked'; fi
check: all check-layers check-format $(unit_runs)

test:
	tests/run.sh

debug:
	$(MAKE) OUT=build/debug CFLAGS='-O0 -g3' SANITIZE=address,undefined all

format:
	clang-format -i $(formatted)

# Installing. The installed daemon is linked a second time, with an object that knows the installed plugins;
# the one in the build tree goes on with the plugins beside it. DESTDIR is put in front of every path that is
# written and is known to nothing that is installed. A PLUGINPATH that is given counts here too.
INSTALL ?= install
bindir := $(PREFIX)/bin
includedir := $(PREFIX)/include
mandir := $(PREFIX)/share/man
docdir := $(PREFIX)/share/doc/websocksy
unitdir := $(PREFIX)/lib/systemd/system
plugindir := $(if $(filter file,$(origin PLUGINPATH)),$(libdir),$(PLUGINPATH))
preloaddir := $(plugindir)/preload

install_obj := $(obj)/install
install_binary := $(install_obj)/websocksy
install_objects := $(filter-out $(obj)/config/table.o,$(objects)) $(install_obj)/table.o
$(install_binary): $(install_objects) $(obj)/settings
	$(CC) $(cflags) $(ldflags) $(runtimes) -o $@ $(install_objects) $(ldlibs)
$(install_obj)/table.o: config/table.c Makefile $(obj)/settings $(install_obj)/pluginpath
	$(CC) $(cflags) -MMD -MP -DWEBSOCKSY_PLUGINPATH='"$(plugindir)"' \
		-DWEBSOCKSY_REBIND='"$(preloaddir)/rebind.so"' -c -o $@ $<
$(install_obj)/pluginpath: FORCE | $(install_obj)
	@printf '%s\n' '$(plugindir)' | cmp -s - $@ || printf '%s\n' '$(plugindir)' > $@
$(install_obj): | $(obj)
	mkdir -p $@
-include $(install_obj)/table.d

# What is written for one prefix is rewritten for another. The quick start builds, so it stays in the source tree.
rewrite := sed 's|/usr/local|$(PREFIX)|g'
units := $(wildcard examples/*.service examples/*.socket)
adapted := $(units) $(wildcard examples/*.conf)
scripts := $(filter-out examples/quickstart.sh,$(wildcard examples/*.sh))
texts := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE.txt index.html \
	$(wildcard docs/*.md docs/*.svg docs/notes/*.md plugins/*.md examples/*.md examples/*.c) \
	examples/websocksy.logrotate $(shell find examples/routes examples/fail2ban -type f 2>/dev/null)
pages := $(notdir $(wildcard man/*.[1-8]))
page_paths := $(foreach page,$(pages),man$(lastword $(subst ., ,$(page)))/$(page))
installed := $(bindir)/websocksy $(bindir)/websocksy-replay $(includedir)/websocksy.h $(includedir)/websocksy_plugin.h \
	$(page_paths:%=$(mandir)/%) $(plugins:$(plugin_out)/%=$(plugindir)/%) \
	$(preloads:$(preload_out)/%=$(preloaddir)/%) \
	$(compat_names:%=$(libdir)/compat/%) \
	$(units:examples/%=$(unitdir)/%) $(addprefix $(docdir)/,$(texts) $(scripts) $(adapted))

.PHONY: install-paths
install-paths:
	$(if $(filter-out /%,$(PREFIX) $(plugindir)),$(error PREFIX and PLUGINPATH have to be absolute paths))

install: install-paths $(install_binary) plugins $(preloads)
	$(INSTALL) -D -m 755 $(install_binary) '$(DESTDIR)$(bindir)/websocksy'
	$(INSTALL) -D -m 644 websocksy.h '$(DESTDIR)$(includedir)/websocksy.h'
	$(INSTALL) -m 644 websocksy_plugin.h '$(DESTDIR)$(includedir)'
	$(INSTALL) -D -m 755 tools/replay '$(DESTDIR)$(bindir)/websocksy-replay'
	set -e; for page in $(page_paths); do \
		$(INSTALL) -D -m 644 man/$${page#*/} '$(DESTDIR)$(mandir)/'$$page; \
		sed 's/^\.Os websocksy$$/& $(version)/' man/$${page#*/} > '$(DESTDIR)$(mandir)/'$$page; done
	$(INSTALL) -d -m 755 '$(DESTDIR)$(plugindir)' '$(DESTDIR)$(unitdir)'
	$(INSTALL) -m 755 $(plugins) '$(DESTDIR)$(plugindir)'
	$(INSTALL) -d -m 755 '$(DESTDIR)$(libdir)/compat'
	set -e; for name in $(compat_names); do \
		ln -sf ../../../bin/websocksy '$(DESTDIR)$(libdir)/compat/'$$name; done
	$(INSTALL) -d -m 755 '$(DESTDIR)$(preloaddir)'
	$(INSTALL) -m 755 $(preloads) '$(DESTDIR)$(preloaddir)'
	set -e; for file in $(texts); do \
		$(INSTALL) -D -m 644 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(scripts); do \
		$(INSTALL) -D -m 755 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(adapted); do \
		$(INSTALL) -D -m 644 "$$file" '$(DESTDIR)$(docdir)/'"$$file"; \
		$(rewrite) "$$file" > '$(DESTDIR)$(docdir)/'"$$file"; done
	set -e; for file in $(units); do \
		$(INSTALL) -m 644 '$(DESTDIR)$(docdir)/'"$$file" '$(DESTDIR)$(unitdir)'; done

# Directories are removed only if they are empty: they may hold plugins of others.
uninstall: install-paths
	rm -f $(installed:%='$(DESTDIR)%')
	-for folder in '$(docdir)/examples/routes/users' '$(docdir)/examples/routes' \
		'$(docdir)/examples/fail2ban/filter.d' '$(docdir)/examples/fail2ban/jail.d' \
		'$(docdir)/examples/fail2ban' '$(docdir)/examples' \
		'$(docdir)/docs/notes' '$(docdir)/docs' '$(docdir)/plugins' '$(docdir)' '$(preloaddir)' \
		'$(libdir)/compat' '$(plugindir)'; do \
		[ ! -d '$(DESTDIR)'"$$folder" ] || \
			rmdir --ignore-fail-on-non-empty '$(DESTDIR)'"$$folder"; done

# Compares with a plain TCP forwarder and other bridges in less than two minutes; the long version:
# bench/run.py without --short. See docs/performance.md.
bench_programs := $(out)/bench/bin
.PHONY: bench
bench: $(binary)
	$(MAKE) -C bench OUT=$(bench_programs) CFLAGS='$(CFLAGS)'
	python3 bench/run.py --short --websocksy $(binary) --programs $(bench_programs)

# Limits of latency and of time in general, on a machine that has nothing else to do. See bench/latency.py.
.PHONY: bench-check
bench-check: $(binary) plugins
	WEBSOCKSY=$(binary) PYTHONPATH=bench:tests/e2e PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -q -s -p no:cacheprovider -p latency tests/e2e
