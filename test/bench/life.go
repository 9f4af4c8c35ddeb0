// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/app/backupapp"
	disk "strongroom/internal/core/durable"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/request"
)

// beside is how many callers transfer while keys are enciphered.
const beside = 8

// lifeRounds measures rotations of the working key and a restore, of a domain where each wallet has a key of its own. They take long and are
// measured once each, so they are figures and no rows.
func lifeRounds(ctx context.Context, c config, r *report) (err error) {
	d, remove, err := madeDomain(ctx, c, 1, "--memory", "67108864")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	say("making %d keys", c.Keys)
	if err := d.addKeys(ctx, c.Keys); err != nil {
		return err
	}
	acc := newAccounts(min(c.Keys, 256), 0)
	say("enciphering %d keys for the next epoch", c.Keys)
	blobs, err := d.rotate(ctx)
	if err != nil {
		return err
	}
	r.note(blobs, "re-encipher %d keys with nothing else to do: blobs a second", c.Keys)
	alone, err := load{callers: d.governed(beside, acc), core: d.cmd.Process.Pid}.measure(ctx, max(c.Length, 2*time.Second))
	if err != nil {
		return err
	}
	blobs, s, err := d.rotateBusy(ctx, acc)
	if err != nil {
		return err
	}
	r.note(blobs, "re-encipher %d keys, %d callers transferring: blobs a second", c.Keys, beside)
	r.note(s.rate, "transfers a second from the load of the next working key to the end of the old one (before: %.0f)", alone.Rate)
	r.note(s.longest.Seconds()*1000, "longest transfer meanwhile, none of which was refused (before, p99: %.1f), ms", alone.P99)
	return restoreTime(ctx, c, r, d)
}

// addKeys makes wallets, each with a seed of its own.
func (d *domain) addKeys(ctx context.Context, n int) error {
	const workers = 128
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := 1 + k; i < n && errs[k] == nil; i += workers { // the first is there
				errs[k] = d.addWallet(ctx, i, "")
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// govern asks for something as an officer, and has the two others approve it.
func (d *domain) govern(ctx context.Context, op request.Operation, body any) error {
	v, err := d.ask(ctx, d.officers[0], d.request(d.officers[0], fmt.Sprintf("%s-%d", keyPrefix, sequence.Add(1)), op, body), nil)
	for _, p := range d.officers[1:] {
		if err == nil {
			v, err = d.approve(ctx, p, v)
		}
	}
	if err == nil && v.State != message.StateExecuted {
		err = fmt.Errorf("%s: %s", op, v.State)
	}
	return err
}

// rotate replaces the working key and gives how many blobs a second were enciphered, from the commit to the last one, pauses included.
func (d *domain) rotate(ctx context.Context) (float64, error) {
	s, err := d.status(ctx)
	if err != nil {
		return 0, err
	}
	l := s.Life
	next := l.NextEpoch
	if err := d.govern(ctx, request.EpochLoad, request.EpochLoadBody{Counter: l.Counter + 1, Epoch: next}); err != nil {
		return 0, err
	}
	took, keys := time.Duration(0), uint64(0)
	for range 3 { // commit, activate, finalize
		if s, err = d.status(ctx); err != nil {
			return 0, err
		}
		switch l = s.Life; {
		case l.Next != nil && !l.Next.Committed:
			began := time.Now()
			err = d.govern(ctx, request.EpochCommit, request.EpochCommitBody{Counter: l.Counter + 1, Epoch: next, Pattern: l.Next.Pattern})
			if err == nil {
				err = d.settled(ctx)
			}
			took = time.Since(began)
		case l.Next != nil:
			keys = l.Next.Keys
			err = d.govern(ctx, request.EpochActivate, request.EpochActivateBody{Counter: l.Counter + 1, Epoch: next, Pattern: l.Next.Pattern})
		default:
			err = d.govern(ctx, request.EpochFinalize, request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern})
			if err == nil {
				err = d.settled(ctx)
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return float64(keys) / took.Seconds(), nil
}

// settled waits until no key lacks a blob and nothing is to be erased.
func (d *domain) settled(ctx context.Context) error {
	for {
		s, err := d.status(ctx)
		switch {
		case err != nil:
			return err
		case s.Life.Fault != "":
			return errors.New(s.Life.Fault)
		case s.Life.Doomed == 0 && (s.Life.Next == nil || s.Life.Next.Lacking == 0):
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// meanwhile is what callers did during a rotation.
type meanwhile struct {
	rate    float64
	longest time.Duration
}

// rotateBusy is rotate while callers transfer. A transfer that fails fails it.
func (d *domain) rotateBusy(ctx context.Context, acc *accounts) (blobs float64, m meanwhile, err error) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	list := d.governed(beside, acc)
	errs, longest, ops := make([]error, len(list)), make([]time.Duration, len(list)), make([]int, len(list))
	began := time.Now()
	for i, do := range list {
		wg.Go(func() {
			for errs[i] == nil && !stop.Load() {
				t := time.Now()
				errs[i] = do(ctx, ops[i])
				longest[i] = max(longest[i], time.Since(t))
				ops[i]++
			}
		})
	}
	blobs, err = d.rotate(ctx)
	stop.Store(true)
	wg.Wait()
	total := 0
	for i := range list {
		total += ops[i]
		m.longest = max(m.longest, longest[i])
	}
	m.rate = float64(total) / time.Since(began).Seconds()
	return blobs, m, errors.Join(errors.Join(errs...), err)
}

// restoreTime backs a domain up through its door, and times a restore beside a copy of its root of trust.
func restoreTime(ctx context.Context, c config, r *report, d *domain) error {
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	say("backing %d keys up, and restoring them", c.Keys)
	f, err := backupapp.Make(disk.OS(), filepath.Join(dir, "backup"))
	if err != nil {
		return err
	}
	t := time.Now()
	w, err := f.Write(ctx, d.door)
	if err != nil {
		return err
	}
	r.note(time.Since(t).Seconds(), "full backup of %d keys, %d entries, %.0f MiB: seconds", c.Keys, w.Manifest.End(), float64(w.Bytes)/(1<<20))
	n := &domain{dir: filepath.Join(dir, "restored"), binary: d.binary}
	if err := os.CopyFS(filepath.Join(n.dir, "root"), os.DirFS(filepath.Join(d.dir, "root"))); err != nil {
		return err
	}
	if err := privately(n.dir); err != nil {
		return err
	}
	t = time.Now()
	if _, err := n.core(ctx, "restore-backup", "--from", filepath.Join(dir, "backup"), "--memory", "67108864"); err != nil {
		return err
	}
	r.note(time.Since(t).Seconds(), "restore of %d keys from it, all folded, each key opened: seconds", c.Keys)
	return nil
}

// privately takes a folder of copied files from everybody else.
func privately(dir string) error {
	return filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&0o700)
	})
}
