// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/hsmtest"

	"strongroom/internal/secret/secrettest"
)

// openCryptoki is the library of a second vendor. It needs its slot daemon, which works on folders of the system.
const openCryptoki = "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0"

// inNamespaces runs its arguments with folders, shared memory and processes of their own, and the slot daemon among them: nothing of the system is
// touched, and all of it ends with the command.
const inNamespaces = `set -e
mount -t tmpfs none /var/lib/opencryptoki
mkdir -p /var/lib/opencryptoki/swtok/TOK_OBJ
mount -t tmpfs none /var/lock
mkdir -p /var/lock/opencryptoki/swtok
mount -t tmpfs none /dev/shm
mkdir /var/lib/opencryptoki/etc
printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' > /var/lib/opencryptoki/etc/opencryptoki.conf
mount --bind /var/lib/opencryptoki/etc /etc/opencryptoki
chgrp -R pkcs11 /var/lib/opencryptoki /var/lock/opencryptoki
chmod -R 770 /var/lib/opencryptoki /var/lock/opencryptoki
pkcsslotd
exec "$@"
`

// TestOpenCryptoki runs the suites on opencryptoki's token in software, where that is usable: root, namespaces, its slot daemon.
func TestOpenCryptoki(t *testing.T) {
	t.Parallel()
	const why = "opencryptoki's token is not usable here"
	if _, err := os.Stat(openCryptoki); err != nil {
		t.Skip(why, err)
	}
	daemon, err := exec.LookPath("pkcsslotd")
	if err != nil || os.Geteuid() != 0 {
		t.Skip(why, err, "user", os.Geteuid(), daemon)
	}
	script := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(script, []byte(inNamespaces), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command("unshare", append([]string{"--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", script}, args...)...)
		cmd.Env = append(os.Environ(), "STRONGROOM_TEST_OPENCRYPTOKI=1")
		return cmd.CombinedOutput()
	}
	if out, err := run("true"); err != nil {
		t.Skipf("%s: %v: %s", why, err, out)
	}
	out, err := run(os.Args[0], "-test.run=^TestOpenCryptokiChild$", "-test.v")
	if err != nil || !strings.Contains(string(out), "--- PASS: TestOpenCryptokiChild") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestOpenCryptokiChild is what runs beside the slot daemon.
func TestOpenCryptokiChild(t *testing.T) {
	if os.Getenv("STRONGROOM_TEST_OPENCRYPTOKI") == "" {
		t.Skip("only as a child")
	}
	m, err := open(openCryptoki)
	if err != nil {
		t.Fatal(err)
	}
	l, err := start(Config{Arena: secrettest.Arena(t), Path: openCryptoki}, m)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	label, pin := "opencryptoki", "12344321" // at most 8 characters
	// The first PIN of its security officer is documented; it must be changed before a user's is set.
	slots, err := m.GetSlotList(true)
	if err != nil || len(slots) == 0 {
		t.Fatalf("slots %v and error %v", slots, err)
	}
	if err := m.InitToken(slots[0], "87654321", label); err != nil {
		t.Fatal(err)
	}
	s, err := m.OpenSession(slots[0], p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(m.Ctx.Login(s, p11.CKU_SO, "87654321"), m.SetPIN(s, "87654321", "76543210"), m.InitPIN(s, "11223344"), m.Logout(s), m.CloseSession(s))
	if err != nil {
		t.Fatal(err)
	}
	s, err = m.OpenSession(slots[0], p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err == nil {
		err = errors.Join(m.Ctx.Login(s, p11.CKU_USER, "11223344"), m.SetPIN(s, "11223344", pin), m.Logout(s), m.CloseSession(s))
	}
	if err != nil {
		t.Fatal(err)
	}
	rep, err := l.Probe(t.Context(), label, take(t, l, pin), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rep.Checks {
		t.Logf("%-55s %v %s", c.Name, c.Works, c.Detail)
	}
	for _, p := range rep.Profiles {
		t.Logf("profile %-30s %v %s", p.Name, p.Fits, strings.Join(p.Missing, "; "))
	}
	if i := slices.IndexFunc(rep.Profiles, func(p Profile) bool { return p.Name == "root" }); !rep.Profiles[i].Fits {
		// An old release. What can't be a root is not made one.
		cfg := config(t, l, label)
		cfg.PIN = take(t, l, pin)
		if _, err := l.Create(t.Context(), cfg); !errors.Is(err, hsm.ErrUnsupported) {
			t.Errorf("create: got error %v", err)
		}
		return
	}
	hsmtest.Run(t, hsmtest.Harness{Arena: l.cfg.Arena, Start: func(t *testing.T) func(*testing.T) hsm.Root {
		cfg := config(t, l, label)
		cfg.PIN = take(t, l, pin)
		closeRoot(t, mustCreate(t, l, durable.OS(), cfg))
		return func(t *testing.T) hsm.Root { return mustOpen(t, l, durable.OS(), cfg) }
	}})
}
