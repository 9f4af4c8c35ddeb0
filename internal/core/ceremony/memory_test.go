// SPDX-License-Identifier: Apache-2.0

package ceremony_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/sharing"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// A ceremony is held in a child process, this test binary again, whose memory is then read: the custodians' keys stay here, so that master
// secret and shares can be known here and must not be found there.
const partVariable = "STRONGROOM_CEREMONY_TEST_RECIPIENTS"

func TestMain(m *testing.M) {
	if os.Getenv(partVariable) == "" {
		os.Exit(m.Run())
	}
	if err := holdCeremony(strings.Split(os.Getenv(partVariable), " ")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// marker is kept on the heap of the child, so that a scan that finds nothing has looked.
const marker = "a mark that is found where memory is read: "

// holdCeremony makes shares for these recipients, then restores from parts that it reads, and stops after each so that it can be looked at.
func holdCeremony(recipients []string) error {
	in := bufio.NewReader(os.Stdin)
	keep := []byte(marker + strconv.Itoa(os.Getpid()))
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		return err
	}
	l := ceremony.Layout{Threshold: 3}
	for i, text := range recipients {
		to, err := ceremony.ParseRecipient(text)
		if err != nil {
			return err
		}
		l.Custodians = append(l.Custodians, ceremony.Custodian{Name: five[i], Recipient: to})
	}
	cfg := config(a)
	cfg.Production, cfg.Dice = true, []string{"ada", "ben"}
	d, err := ceremony.Begin(context.Background(), cfg)
	if err != nil {
		return err
	}
	for i, name := range cfg.Dice {
		rolls, err := secret.New(a, 60, func(b []byte) error { rollInto(b, i); return nil })
		if err != nil {
			return err
		}
		if _, err := d.Roll(name, rolls); err != nil {
			return err
		}
		rolls.Wipe()
	}
	m, err := d.Make(transcript, l)
	if err != nil {
		return err
	}
	for _, s := range m.Shares {
		fmt.Printf("%x\n", s.Sealed)
	}
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	load, err := ceremony.NewLoad(a, [32]byte{9}, expect(m))
	if err != nil {
		return err
	}
	fmt.Printf("%x\n", load.Importer())
	for range 3 {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		part, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		if _, err := load.Add(part); err != nil {
			return err
		}
	}
	key, err := load.Restore()
	if err != nil {
		return err
	}
	key.Wipe()
	fmt.Printf("%x\n", key.Public())
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if !bytes.HasPrefix(keep, []byte(marker)) {
		return errors.New("the mark is gone")
	}
	return a.Close()
}

// rollInto writes rolls that both processes know.
func rollInto(b []byte, who int) {
	x := uint32(12345 + 77*who)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = '1' + byte(x>>16%6)
	}
}

// order of ristretto255.
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// forms are how a scalar may lie in memory: encoded, and as the library computes with it (four words of the Montgomery form).
func forms(encoded []byte) [][]byte {
	le := bytes.Clone(encoded)
	slices.Reverse(le)
	n := new(big.Int).SetBytes(le)
	n.Mod(n.Lsh(n, 256), order)
	mont := n.FillBytes(make([]byte, 32))
	slices.Reverse(mont)
	return [][]byte{encoded, mont}
}

// known are the secrets of a ceremony that the test can compute, by name. Half of a value is enough to be found.
func known(t *testing.T, a *secret.Arena, sealed [][]byte, list []person) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string, b []byte) {
		for i, form := range forms(b) {
			out[fmt.Sprintf("%s, form %d, first half", name, i)] = form[:16]
			out[fmt.Sprintf("%s, form %d, second half", name, i)] = form[16:]
		}
	}
	var shares []sharing.Share
	var c share.Commitments
	for i, b := range sealed {
		o, err := ceremony.OpenShare(a, b, list[i].opener)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Wipe()
		s := ceremony.ShareOf(o)
		e, err := s.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		raw := content(t, e)
		e.Wipe()
		add(list[i].name+"'s share", raw[1:33])
		add(list[i].name+"'s blinding", raw[33:])
		shares, c = append(shares, s), o.Commitments
	}
	m, err := sharing.Combine(a, c, shares)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Wipe()
	r := content(t, m)
	add("master secret", r)
	ikm, err := hkdf.Key(sha512.New, r, nil, "strongroom/recovery/v1", 64)
	if err != nil {
		t.Fatal(err)
	}
	out["what the recovery key follows from"] = ikm[:16]
	out["what the recovery key follows from, the end"] = ikm[48:]
	prk, err := hkdf.Extract(sha512.New, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	out["what that follows from"] = prk[:16]
	for i := range 2 {
		rolls := make([]byte, 60)
		rollInto(rolls, i)
		out[five[i]+"'s dice"] = rolls[:30]
		out[five[i]+"'s dice, the end"] = rolls[30:]
	}
	return out
}

// scan reads the writable memory of a process and says which of these values are in it.
func scan(t *testing.T, pid int, values map[string][]byte) (found []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	total := 0
	for line := range strings.SplitSeq(string(maps), "\n") {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		b := make([]byte, to-from)
		if _, err := io.ReadFull(io.NewSectionReader(mem, from, to-from), b); err != nil {
			continue // a guard, or a page that can't be read
		}
		total += len(b)
		for name, v := range values {
			if at := bytes.Index(b, v); at >= 0 {
				found = append(found, fmt.Sprintf("%s at %x of %s: … %x …", name, at, line, b[max(0, at-48):min(len(b), at+80)]))
			}
		}
	}
	if total < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", total)
	}
	return found
}

// TestNothingIsLeftInMemory reads the whole writable memory of a process after it made shares, and again after it restored from three.
func TestNothingIsLeftInMemory(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	var recipients []string
	for _, p := range list {
		recipients = append(recipients, p.to.String())
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	// What the registers hold when a signal comes lies on the signal's stack afterwards ([secret.Do] says so); the scheduler's own signals are off.
	cmd.Env = append(os.Environ(), partVariable+"="+strings.Join(recipients, " "), "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	read := func() []byte {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(line string) {
		if _, err := io.WriteString(stdin, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	var sealed [][]byte
	for range list {
		sealed = append(sealed, read())
	}
	values := known(t, a, sealed, list)
	look := func(when string) {
		if found := scan(t, cmd.Process.Pid, map[string][]byte{"mark": []byte(marker + strconv.Itoa(cmd.Process.Pid))}); len(found) == 0 {
			t.Errorf("%s: the mark is not found, so nothing else would be", when)
		}
		for _, line := range scan(t, cmd.Process.Pid, values) {
			t.Errorf("%s: %s", when, line)
		}
	}
	look("after shares were made")
	write("")
	importer := read()
	for _, i := range []int{0, 1, 2} {
		o, err := ceremony.OpenShare(a, sealed[i], list[i].opener)
		if err != nil {
			t.Fatal(err)
		}
		part, err := o.HandIn(importer)
		o.Wipe()
		if err != nil {
			t.Fatal(err)
		}
		write(hex.EncodeToString(part))
	}
	public := read()
	_, m, _, err := share.DecodeSealed(sealed[0])
	if err != nil || sha256.Sum256(public) != m.Recovery {
		t.Errorf("another key was restored (err %v)", err)
	}
	look("after a restore")
	write("")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
