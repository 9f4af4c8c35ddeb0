// SPDX-License-Identifier: Apache-2.0

// Command strongroom-core is the process that holds keys. It opens one domain and serves it at a door on a Unix socket; it has no
// other listener and opens no connection. Its closure is the trusted code (internal/archtest/testdata/tcb.txt).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"strongroom/internal/app/coreapp"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

const usage = `strongroom-core holds the keys of one domain and serves it at a door, a Unix socket.

  strongroom-core run     --data DIR --socket PATH   open the domain and serve it
  strongroom-core prepare --data DIR --document FILE --out FILE [--profile evaluation|production] [--anchor witness --witness NAME=VKEY …]
                                                      make the keys of a new domain; write its genesis, for the first persons to sign
  strongroom-core create  --data DIR --genesis FILE [--time-sources FILE --socket PATH]
                                                      make the domain from the signed genesis
  strongroom-core re-anchor-prepare --data DIR --reason TEXT --out FILE [--socket PATH] [--anchor … --witness NAME=VKEY …]
                                                      the log lost entries, or its anchor is gone: write what people of the recovery plan sign
  strongroom-core re-anchor-apply --data DIR --document FILE [--socket PATH]
                                                      go on from what is left of the log, as they signed
  strongroom-core restore-backup --data DIR --from FOLDER [--manifest NAME]
                                                      make the domain of a backup, in a folder with its root of trust and no log
  strongroom-core ceremony --data DIR --script FILE --socket PATH
                                                      do the core's part of a key ceremony; 'strongroom ceremony run' leads through it
  strongroom-core cold create|genesis|sign|status|zeroize|backup|restore --data DIR …
                                                      an offline domain: one that holds cold wallets on a machine without network
  strongroom-core self-test [--list]                  run the self-tests, or list their names
  strongroom-core probe   --pkcs11-module PATH [--pkcs11-token LABEL]
                                                      tell what a PKCS#11 library and its token can do, as JSON; no domain is needed

The root of trust is a file that a passphrase opens (--root soft), a PKCS#11 token (--root pkcs11, --pkcs11-module, --pkcs11-token), or a TPM (--root tpm2).

The passphrase of the root of trust, or the token's or TPM's PIN, comes from --passphrase-fd, else the systemd credential strongroom-passphrase, else the terminal.
'strongroom-core COMMAND --help' lists the flags. People use 'strongroom', which calls this program.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "strongroom-core: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	if args[0] == "cold" {
		return runCold(ctx, args[1:], stdout, stderr)
	}
	f := flag.NewFlagSet("strongroom-core "+args[0], flag.ContinueOnError)
	f.SetOutput(stderr)
	var (
		o        = coreapp.Options{Log: slog.New(slog.NewJSONHandler(stderr, nil))}
		fd       = f.Int("passphrase-fd", -1, "read the passphrase from this file descriptor")
		socket   = f.String("socket", "", "path of the door; default DIR/door/core.sock")
		uids     = f.String("allow-uids", "", "user ids that may connect, with commas; default: our own")
		readyFD  = f.Int("ready-fd", -1, "write a line to this file descriptor once the door is open")
		profile  = f.String("profile", string(custody.Evaluation), "evaluation or production")
		document = f.String("document", "", "first rule document, canonical encoding")
		genesis  = f.String("genesis", "", "genesis, signed by every first person")
		out      = f.String("out", "", "where the genesis is written")
		from     = f.String("from", "", "folder of the backup")
		manifest = f.String("manifest", "", "name of a manifest in that folder; default: the newest")
		behind   = f.Bool("behind", false, "restore-backup: the backup may have less than the anchor knows; the domain is re-anchored then")
		lost     coreapp.Reanchor
		ritual   coreapp.CeremonyFiles
		list     = f.Bool("list", false, "list the names of the self-tests")
	)
	f.StringVar(&o.Data, "data", "", "folder of the domain")
	f.StringVar(&lost.Reason, "reason", "", "re-anchor-prepare: why, for the people who sign")
	f.Func("checkpoint", "re-anchor: file with a signed checkpoint of the log that somebody kept; may be given more than once", func(s string) error {
		lost.Checkpoints = append(lost.Checkpoints, s)
		return nil
	})
	unlockFD := rootFlags(f, &o)
	f.StringVar(&ritual.Script, "script", "", "ceremony: script, canonical encoding")
	f.StringVar(&ritual.Record, "record", "", "ceremony: recovery record in force")
	f.StringVar(&ritual.Identity, "identity-copy", "", "ceremony: identity, sealed for recovery")
	f.StringVar(&ritual.WorkingKey, "working-key-copy", "", "ceremony: working key, sealed for recovery")
	f.Uint64Var(&ritual.Epoch, "epoch", 0, "ceremony: epoch of that working key; 0 is 1")
	f.IntVar(&o.Memory, "memory", 0, "bytes of locked memory for keys; 0 is 16 MiB")
	f.IntVar(&o.CacheKeys, "cache-keys", 0, "addresses and accounts kept unsealed, so many of each; 0 is 65536, or what fits into the memory")
	f.DurationVar(&o.ClockBound, "clock-bound", 0, "what to take as the error of the system clock; 0 is 1s")
	f.StringVar(&o.TimeSources, "time-sources", "", "with run and create: file that names authenticated sources of time; default: the system clock, on which production does not run")
	f.DurationVar(&o.FlushDelay, "flush-delay", 0, "wait this long at each flush, as a slower disk would; for benchmarks")
	f.StringVar(&o.LogSocket, "log-socket", "", "keep the log behind this socket of 'strongroom logstore' instead of files in the data folder")
	f.DurationVar(&o.RecheckEvery, "recheck-every", 24*time.Hour, "time between full re-checks of log, decisions and blobs, and between self-tests, in the background; 0 is none")
	f.StringVar(&o.FailSelfTest, "fail-self-test", "", "make the self-test of this name fail: the core does not start then, which shows that the control works")
	f.StringVar(&o.TamperFile, "tamper-file", "", "destroy all working keys when this file appears; default DIR/tamper")
	f.BoolVar(&o.AwaitGenesis, "await-genesis", false, "with run: where there is no domain yet, open the door for a status that says so, and open the domain once it was made")
	f.BoolVar(&o.TakeOver, "take-over", false, "take the log over from a core that may still run")
	f.BoolVar(&o.NoTiles, "no-tiles", false, "write no tiles")
	f.Uint64Var(&o.SnapshotEvery, "snapshot-every", 0, "entries between snapshots; 0 is 65536")
	f.StringVar(&o.Anchor, "anchor", "", "where the head of a new domain's log is kept: file (evaluation), tpm (a file whose state a TPM counts), witness or witness+tpm; default file")
	f.Func("witness", "a log witness of a new domain, NAME=VKEY; may be given more than once", func(s string) error { return o.AddWitness(s) })
	f.Func("witnesses", "file with log witnesses of a new domain, lines \"witness NAME VKEY\"", func(s string) error { return o.ReadWitnesses(s) })
	f.IntVar(&o.Quorum, "quorum", 0, "how many log witnesses must cosign; 0 is more than half of them")
	f.StringVar(&o.TPM, "tpm", "", "device of the TPM, or socket of an emulator; default /dev/tpmrm0")
	f.StringVar(&o.TPMPCRs, "tpm-pcrs", coreapp.DefaultPCRs, "PCRs of the SHA-256 bank that a new tpm2 root is bound to, with commas, or none")
	f.BoolVar(&o.WeakPassphraseUnsafe, "weak-passphrase-unsafe", false, "make guessing the passphrase of a new root cheap; for tests and benchmarks")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see strongroom-core %s --help", f.Arg(0), args[0])
	}
	if args[0] == "self-test" {
		return coreapp.SelfTest(ctx, *list, o.FailSelfTest, stdout)
	}
	if o.Data == "" && args[0] != "probe" {
		return errors.New("--data is required: the folder of the domain")
	}
	o.Passphrase = passphrase.Source{FD: *fd, Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), Terminal: os.Stdin, Prompt: stderr}
	o.PKCS11.Unlock = unlockSecret(*unlockFD)
	switch args[0] {
	case "probe":
		report, err := coreapp.Probe(ctx, o)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(report)
	case "run":
		allowed, err := parseUIDs(*uids)
		if err != nil {
			return err
		}
		if *socket == "" {
			*socket = o.Data + "/door/core.sock"
			if err := os.MkdirAll(o.Data+"/door", 0o700); err != nil {
				return err
			}
		}
		return coreapp.Run(ctx, o, *socket, allowed, func() { announce(*readyFD) })
	case "ceremony":
		if ritual.Script == "" || *socket == "" {
			return errors.New("--script and --socket are required")
		}
		ritual.Document = *document
		return coreapp.Ceremony(ctx, o, ritual, *socket, nil, func() { announce(*readyFD) })
	case "prepare":
		if *document == "" || *out == "" {
			return errors.New("--document and --out are required")
		}
		p := custody.Profile(*profile)
		if err := p.Check(); err != nil {
			return err
		}
		return coreapp.Prepare(ctx, o, p, *document, *out)
	case "create":
		if *genesis == "" {
			return errors.New("--genesis is required")
		}
		allowed, err := parseUIDs(*uids)
		if err != nil {
			return err
		}
		made, err := coreapp.Create(ctx, o, *genesis, *socket, allowed)
		if err != nil {
			return err
		}
		fmt.Fprintln(stderr, "strongroom-core: the domain's first entry carries the time of", made.Clock)
		_, err = fmt.Fprintln(stdout, made.Domain)
		return err
	case "re-anchor-prepare", "re-anchor-apply":
		lost.Socket, lost.Ready = *socket, func() { announce(*readyFD) }
		return reanchor(ctx, o, lost, args[0] == "re-anchor-apply", *document, *out, stdout)
	case "restore-backup":
		if *from == "" {
			return errors.New("--from is required: the folder of the backup")
		}
		r, err := coreapp.RestoreBackup(ctx, o, *from, *manifest, *behind)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(r)
	default:
		return fmt.Errorf("command %q is not known; see strongroom-core --help", args[0])
	}
}

// reanchor prepares a re-anchor document, or applies one.
func reanchor(ctx context.Context, o coreapp.Options, a coreapp.Reanchor, apply bool, document, out string, stdout io.Writer) error {
	var r coreapp.ReanchorReport
	var err error
	switch {
	case apply && document == "":
		return errors.New("--document is required: the signed re-anchor document")
	case apply:
		r, err = coreapp.ApplyReanchor(ctx, o, a, document)
	case out == "" || a.Reason == "":
		return errors.New("--out and --reason are required")
	default:
		r, err = coreapp.PrepareReanchor(ctx, o, a, out)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

// rootFlags has the flags of the root of trust. It gives the descriptor of the unlock secret.
func rootFlags(f *flag.FlagSet, o *coreapp.Options) *int {
	f.StringVar(&o.Root, "root", coreapp.RootSoft, "root of trust: soft (evaluation), pkcs11 or tpm2; fixed when the domain is made")
	f.StringVar(&o.PKCS11.Module, "pkcs11-module", "", "path of the PKCS#11 library")
	f.StringVar(&o.PKCS11.Token, "pkcs11-token", "", "label or serial number of the token")
	f.DurationVar(&o.PKCS11.Timeout, "pkcs11-timeout", 0, "how long one call into the library may take; 0 is 30s")
	f.BoolVar(&o.PKCS11.Typed, "pin-typed", false, "a person has just typed the PIN that comes through the descriptor: try it also after a wrong one")
	return f.Int("unlock-fd", -1, "read the unlock secret of a PKCS#11 root from this file descriptor; default: the systemd credential strongroom-unlock, if there is one")
}

// unlockName is the name of the systemd credential that holds the unlock secret.
const unlockName = "strongroom-unlock"

// unlockSecret says where the unlock secret comes from; nil if there is none.
func unlockSecret(fd int) func(*secret.Arena) (secret.Bytes, error) {
	if fd >= 0 {
		return func(a *secret.Arena) (secret.Bytes, error) { return passphrase.FromFD(a, fd) }
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if _, err := os.Stat(filepath.Join(dir, unlockName)); dir == "" || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return func(a *secret.Arena) (secret.Bytes, error) { return passphrase.FromNamedCredential(a, dir, unlockName) }
}

// announce tells who started us that the door is open.
func announce(fd int) {
	if fd < 0 {
		return
	}
	f := os.NewFile(uintptr(fd), "ready-fd")
	fmt.Fprintln(f, "ready")
	f.Close()
}

func parseUIDs(s string) ([]uint32, error) {
	if s == "" {
		return nil, nil
	}
	var out []uint32
	for _, w := range strings.Split(s, ",") {
		n, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--allow-uids: %q is not a user id", w)
		}
		out = append(out, uint32(n))
	}
	return out, nil
}
