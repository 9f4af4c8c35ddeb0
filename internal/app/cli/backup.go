// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"strongroom/internal/app/backupapp"
	"strongroom/internal/core/durable"
	"strongroom/internal/gate"
	"strongroom/internal/pure/backup"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// domainBackup writes backups, and has them checked.
type domainBackup struct {
	Data     string `placeholder:"DIR" help:"Folder of the domain, on the core's machine; its door is there."`
	Door     string `placeholder:"PATH" help:"Socket of the core, if it is elsewhere."`
	To       string `required:"" placeholder:"FOLDER" help:"Folder of the backup, best on another disk. It is made if it is not there. Anybody may hold it: packs are sealed."`
	Check    bool   `help:"Afterwards, have the core open and fold the whole backup, and open every key in it."`
	Manifest string `placeholder:"NAME" help:"With --check: write nothing, and check this manifest of the folder."`
}

// backupShown is what a backup tells.
type backupShown struct {
	Folder   string `json:"folder"`
	Manifest string `json:"manifest"`
	Domain   string `json:"domain"`
	Entries  uint64 `json:"entries"`
	Added    int    `json:"addedPacks"`
	Bytes    int    `json:"addedBytes"`
	Made     string `json:"made"`
	Copies   bool   `json:"sealedCopies"`
	Checked  bool   `json:"checked"`
	Keys     uint64 `json:"keys,omitempty"`
	Opened   uint64 `json:"opened,omitempty"`
	Tokens   uint64 `json:"tokenKeys,omitempty"`
}

// Run backs up.
func (c *domainBackup) Run(e *env) error {
	path := c.Door
	switch {
	case path == "" && c.Data == "":
		return usage("--data or --door is required: where the core is")
	case path == "":
		path, _ = doorOf(c.Data)
	}
	if c.Manifest != "" && !c.Check {
		return usage("--manifest is for --check")
	}
	f, err := backupapp.Make(durable.OS(), filepath.Clean(c.To))
	if err != nil {
		return err
	}
	door, err := gate.Dial(e.ctx, path)
	if err != nil {
		return hint(err, "a backup is made by the running core: start it with 'strongroom up --data DIR' or 'strongroom core run'")
	}
	defer func() { _ = door.Close() }() // nothing is under way then
	var out backupapp.Written
	if c.Manifest == "" {
		out, err = f.Write(e.ctx, door)
	} else {
		out.Manifest, err = f.Manifest(c.Manifest)
	}
	if err != nil {
		return err
	}
	m := out.Manifest
	show := backupShown{Folder: c.To, Manifest: m.Name(), Domain: m.Domain.String(), Entries: m.End(), Added: out.Added, Bytes: out.Bytes,
		Made: time.Unix(0, m.Time).UTC().Format(time.RFC3339), Copies: len(m.Copies.Identity) > 0 && len(m.Copies.WorkingKey) > 0,
		Tokens: out.TokenKeys}
	if c.Check {
		checked, err := f.Check(e.ctx, door, m)
		if err != nil {
			return hint(err, "keep what there is, and begin a backup in a new folder")
		}
		show.Checked, show.Keys, show.Opened, show.Tokens = true, checked.Keys, checked.Opened, checked.TokenKeys
	}
	if show.Tokens > 0 {
		e.hint("%s: if the token dies, what their addresses hold is lost", notInBackup(show.Tokens))
	}
	if !show.Copies {
		e.hint("the domain has no custodians, so this backup needs the domain's own root of trust: keep a copy of that too, or lose the keys with it")
	}
	return e.show(show, func() error { return e.pairs(show.pairs()) })
}

func (s backupShown) pairs() []pair {
	out := []pair{{"domain", s.Domain}, {"manifest", filepath.Join(s.Folder, s.Manifest)}, {"entries", strconv.FormatUint(s.Entries, 10)},
		{"added", fmt.Sprintf("%d packs, %d bytes", s.Added, s.Bytes)}, {"made", s.Made}}
	restore := "with the domain's root of trust"
	if s.Copies {
		restore += ", or by its custodians"
	}
	out = append(out, pair{"restore", restore})
	if s.Checked {
		out = append(out, pair{"checked", fmt.Sprintf("whole: %d keys, %d blobs opened", s.Keys-min(s.Tokens, s.Keys), s.Opened)})
	}
	if s.Tokens > 0 {
		out = append(out, pair{"NOT in it", notInBackup(s.Tokens)})
	}
	return out
}

// notInBackup says what no backup has.
func notInBackup(tokens uint64) string {
	if tokens == 1 {
		return "1 key is in the token and in no backup"
	}
	return fmt.Sprintf("%d keys are in the token and in no backup", tokens)
}

// domainRestoreBackup makes a domain from a backup.
type domainRestoreBackup struct {
	coreFlags
	From     string `required:"" placeholder:"FOLDER" help:"Folder of the backup."`
	Manifest string `placeholder:"NAME" help:"Restore an older day: the name of a manifest in the folder. Default: the newest."`
	Behind   bool   `help:"There is no newer backup, and the anchor knows more entries than this one has: restore it all the same. The domain starts only after 'strongroom domain re-anchor'."`
}

// restoredReport is what strongroom-core says.
type restoredReport struct {
	Domain   custody.DomainID `json:"domain"`
	Profile  custody.Profile  `json:"profile"`
	LogKey   string           `json:"logKey"`
	Identity string           `json:"identityKey"`
	Entries  uint64           `json:"entries"`
	Keys     int              `json:"keys"`
	Zeroized bool             `json:"zeroized"`
	Tokens   int              `json:"tokenKeys"`
	Missing  int              `json:"tokenKeysMissing"`
}

// Run restores.
func (c *domainRestoreBackup) Run(e *env) error {
	name := c.Manifest
	if name == "" {
		name = "its newest manifest"
	}
	if st, err := os.Stat(c.From); err != nil || !st.IsDir() {
		return fmt.Errorf("%s is no folder of a backup: %w", c.From, errors.Join(err, os.ErrNotExist))
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	args := []string{"--from", c.From}
	if c.Manifest != "" {
		args = append(args, "--manifest", c.Manifest)
	}
	if c.Behind {
		args = append(args, "--behind")
	}
	e.say("Checking all of %s, by %s…", c.From, name)
	out, err := e.runCore(pass, c.args("restore-backup", args...)...)
	if err != nil {
		return hint(err, "docs/runbooks/backup.md says what a restore needs")
	}
	var r restoredReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("%s restore-backup: %w", coreProgram, err)
	}
	logKey, err := hex.DecodeString(r.LogKey)
	if err != nil {
		return fmt.Errorf("%s restore-backup: %w", coreProgram, err)
	}
	identity, err := hex.DecodeString(r.Identity)
	if err != nil {
		return fmt.Errorf("%s restore-backup: %w", coreProgram, err)
	}
	d := domainFileOf(r.Domain, entry.Genesis{Profile: r.Profile, LogKey: logKey, Identity: identity})
	b, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(c.Data, domainName), b, 0o644); err != nil {
		return err
	}
	e.say("%d entries and %d keys are restored, as they were in %s.", r.Entries, r.Keys-r.Tokens, backup.ManifestName(r.Entries))
	if r.Tokens > 0 {
		e.say("%s; of these MISSING in this token: %d. Their wallets are there, and can't pay without them.", notInBackup(uint64(r.Tokens)), r.Missing)
	}
	switch {
	case r.Zeroized:
		e.hint("the domain is zeroized: start it, then the recovery plan decides with 'strongroom domain restore'")
	default:
		e.hint("be sure that no other core of this domain runs, anywhere; then: %s", c.next(r.Profile, clockFlags{}))
	}
	return e.show(d, func() error { return e.pairs(domainPairs(d)) })
}

// domainBackupCopies writes out what custodians need for a restore.
type domainBackupCopies struct {
	From     string `required:"" placeholder:"FOLDER" help:"Folder of the backup."`
	Manifest string `placeholder:"NAME" help:"Name of a manifest in the folder; default: the newest."`
	Out      string `required:"" placeholder:"DIR" help:"Where to write; it is made if it is not there."`
}

// copiesShown says what was written.
type copiesShown struct {
	Domain   string `json:"domain"`
	Identity string `json:"identityKey"`
	Record   string `json:"record"`
	Hash     string `json:"recordHash"`
	Need     string `json:"custodians"`
	Copies   string `json:"identityCopy"`
	Working  string `json:"workingKeyCopy"`
	Epoch    uint64 `json:"epoch"`
}

// Run writes recovery record and sealed copies of a manifest. Nothing of it is secret; only m custodians can open the copies.
func (c *domainBackupCopies) Run(e *env) error {
	f, err := backupapp.Open(durable.OS(), filepath.Clean(c.From))
	if err != nil {
		return err
	}
	m, err := f.Manifest(c.Manifest)
	if err != nil {
		return err
	}
	if m == nil {
		return fmt.Errorf("%s has no manifest: it is no backup, or its first one was interrupted", c.From)
	}
	if m.Recovery == nil || len(m.Copies.Identity) == 0 || len(m.Copies.WorkingKey) == 0 {
		return hint(fmt.Errorf("%s has no sealed copies: the domain had no custodians, or was zeroized before its first backup", m.Name()),
			"without custodians a restore needs the domain's own root of trust")
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return err
	}
	hash := m.Recovery.Hash()
	show := copiesShown{Domain: m.Domain.String(), Identity: hex.EncodeToString(m.Identity), Record: filepath.Join(c.Out, "record.cbor"), Hash: hex.EncodeToString(hash[:]),
		Need:   fmt.Sprintf("%d of %d", m.Recovery.Threshold, m.Recovery.Shares),
		Copies: filepath.Join(c.Out, "identity.sealed"), Working: filepath.Join(c.Out, fmt.Sprintf("dwk-%d.sealed", m.Epoch)), Epoch: m.Epoch}
	for path, b := range map[string][]byte{show.Record: canon.Encode(m.Recovery), show.Copies: m.Copies.Identity, show.Working: m.Copies.WorkingKey} {
		if err := replace(path, b, 0o600); err != nil {
			return err
		}
	}
	return e.show(show, func() error {
		return e.pairs([]pair{{"domain", show.Domain}, {"identity key", show.Identity}, {"record", show.Record}, {"record hash", show.Hash}, {"custodians", show.Need},
			{"identity", show.Copies}, {"working key", show.Working}, {"epoch", strconv.FormatUint(show.Epoch, 10)}})
	})
}
