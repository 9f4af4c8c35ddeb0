// SPDX-License-Identifier: Apache-2.0

package ritual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/edge/agefile"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/secret"
)

// Folder is the hands of an exercise without people: files by name. NAME.key is somebody's enrolled key, NAME.age a custodian's identity, NAME.pass the
// passphrase of both, NAME.dice what they rolled, NAME.share the share that they bring. Close it after use.
type Folder struct {
	Dir     string
	Core    string // path of strongroom-core, whose hash everybody "computes elsewhere"
	Arena   *secret.Arena
	Say     func(format string, args ...any)
	signers map[string]*keyfile.Key
}

var _ Hands = (*Folder)(nil)

func (f *Folder) file(name, kind string) string { return filepath.Join(f.Dir, name+"."+kind) }

// Begin tells that a step begins.
func (f *Folder) Begin(s ceremony.Step, n, of int) {
	f.Say("step %d of %d: %s: %s", n, of, s.Actor, s.Title)
}

// Compare finds everything the same: in an exercise there is no other copy.
func (f *Folder) Compare(ctx context.Context, _, _ string, _ [32]byte) error { return ctx.Err() }

// Program computes the hash again.
func (f *Folder) Program(context.Context, string) ([32]byte, error) { return Sum(f.Core) }

// Signer opens NAME.key.
func (f *Folder) Signer(_ context.Context, p ceremony.Participant) (*keyfile.Key, error) {
	if k, ok := f.signers[p.Name]; ok {
		return k, nil
	}
	k, err := keyfile.Open(f.Arena, f.file(p.Name, "key"), func() (secret.Bytes, error) { return f.pass(p.Name) })
	if err != nil {
		return nil, err
	}
	if f.signers == nil {
		f.signers = map[string]*keyfile.Key{}
	}
	f.signers[p.Name] = k
	return k, nil
}

// pass reads NAME.pass.
func (f *Folder) pass(name string) (secret.Bytes, error) { return f.secretFile(f.file(name, "pass")) }

// secretFile reads a file without the line end at its end.
func (f *Folder) secretFile(path string) (secret.Bytes, error) {
	b, err := readSome(path)
	if err != nil {
		return secret.Bytes{}, err
	}
	n := len(bytes.TrimRight(b, "\r\n"))
	clear(b[n:])
	if n == 0 {
		return secret.Bytes{}, fmt.Errorf("%s is empty", path)
	}
	return secret.Take(f.Arena, b[:n])
}

// Dice reads NAME.dice.
func (f *Folder) Dice(_ context.Context, _ *secret.Arena, name string, _ int) (secret.Bytes, error) {
	return f.secretFile(f.file(name, "dice"))
}

// Opener opens NAME.age.
func (f *Folder) Opener(_ context.Context, a *secret.Arena, name string) (custodian.Opener, bool, error) {
	text, err := agefile.Read(a, f.file(name, "age"), func() (secret.Bytes, error) { return f.pass(name) })
	if err != nil {
		return custodian.Opener{}, false, err
	}
	defer text.Wipe()
	o, err := custodian.ParseAgeOpener(text)
	return o, true, err
}

// Share opens NAME.share.
func (f *Folder) Share(ctx context.Context, a *secret.Arena, name string) (*custodian.Opened, error) {
	b, err := readSome(f.file(name, "share"))
	if err != nil {
		return nil, err
	}
	o, _, err := f.Opener(ctx, a, name)
	if err != nil {
		return nil, err
	}
	return custodian.OpenShare(a, b, o)
}

// Stored takes bag and safe of the script, or says that there is none.
func (f *Folder) Stored(_ context.Context, p ceremony.Participant) (ceremony.Stored, error) {
	s := ceremony.Stored{Bag: p.Bag, Safe: p.Safe}
	if s.Bag == "" {
		s.Bag = "none (exercise)"
	}
	if s.Safe == "" {
		s.Safe = "none (exercise)"
	}
	return s, nil
}

// Await finds a file that is there, or nobody who brings it.
func (f *Folder) Await(_ context.Context, name, _, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("nobody is here to bring %s for %s", path, name)
	} else if err != nil {
		return err
	}
	return nil
}

// Close wipes the keys.
func (f *Folder) Close() {
	for _, k := range f.signers {
		k.Wipe()
	}
}
