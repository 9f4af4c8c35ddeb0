// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Hit is a secret that was found. It doesn't repeat it.
type Hit struct {
	Secret, Form string
	Where        string
	Offset       int64
}

// String tells what was found where.
func (h Hit) String() string {
	return fmt.Sprintf("%s (%s) in %s at %#x", h.Secret, h.Form, h.Where, h.Offset)
}

// Finder looks for secrets. Its methods are safe for concurrent use.
type Finder struct {
	starts  [1 << 16]bool // the first two bytes of some pattern
	by      map[uint64][]pattern
	longest int
}

// NewFinder makes a finder. It refuses what is too short to be told from chance.
func NewFinder(secrets []Secret) (*Finder, error) {
	f := &Finder{by: map[uint64][]pattern{}}
	for _, s := range secrets {
		if len(s.Content) < MinSecret {
			return nil, fmt.Errorf("secret %q has %d bytes; at least %d can be looked for", s.Name, len(s.Content), MinSecret)
		}
		if bytes.Count(s.Content, s.Content[:1]) == len(s.Content) {
			return nil, fmt.Errorf("secret %q is one byte again and again, which is everywhere", s.Name)
		}
		for _, x := range forms(s.Content) {
			p := pattern{s.Name, x.name, []byte(x.pattern)}
			f.starts[binary.LittleEndian.Uint16(p.bytes)] = true
			f.by[key(p.bytes)] = append(f.by[key(p.bytes)], p)
			f.longest = max(f.longest, len(p.bytes))
		}
	}
	return f, nil
}

// In looks through data.
func (f *Finder) In(where string, data []byte) (hits []Hit) {
	for i := 0; i+keySize <= len(data); i++ {
		if !f.starts[uint16(data[i])|uint16(data[i+1])<<8] {
			continue
		}
		for _, p := range f.by[key(data[i:])] {
			if bytes.HasPrefix(data[i:], p.bytes) {
				hits = append(hits, Hit{p.secret, p.form, where, int64(i)})
			}
		}
	}
	return hits
}

// chunk is how much is looked through at a time.
const chunk = 1 << 20

// Stream looks through what r gives.
func (f *Finder) Stream(where string, r io.Reader) (hits []Hit, err error) {
	buf := make([]byte, chunk)
	kept, base := 0, int64(0) // kept bytes of the last piece lie at the front of buf, which is base in the stream
	for {
		n, err := io.ReadFull(r, buf[kept:])
		end := err != nil
		if end && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return hits, err
		}
		data := buf[:kept+n]
		for _, h := range f.In(where, data) {
			h.Offset += base
			if !slices.Contains(hits, h) { // in the part that was kept
				hits = append(hits, h)
			}
		}
		if end {
			return hits, nil
		}
		kept = f.longest
		base += int64(len(data) - kept)
		copy(buf, data[len(data)-kept:])
	}
}

// Folder looks through all regular files below a folder, and their names. It gives how many there were.
func (f *Finder) Folder(dir string) (hits []Hit, files int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hits = append(hits, f.In("the name "+path, []byte(path))...)
		if !d.Type().IsRegular() {
			return nil
		}
		r, err := os.Open(path)
		if err != nil {
			return err
		}
		defer r.Close()
		files++
		found, err := f.Stream(path, r)
		hits = append(hits, found...)
		return err
	})
	return hits, files, err
}

// Mapping is a part of a process's memory (proc_pid_smaps(5)).
type Mapping struct {
	Low, High uint64
	Perms     string   // rwxp
	Name      string   // file, or what the kernel calls it
	Flags     []string // VmFlags
}

// Mappings lists a process's memory.
func Mappings(pid int) ([]Mapping, error) {
	r, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []Mapping
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) >= 5 && !strings.HasSuffix(words[0], ":") {
			m := Mapping{Perms: words[1], Name: strings.Join(words[5:], " ")}
			if _, err := fmt.Sscanf(words[0], "%x-%x", &m.Low, &m.High); err != nil {
				return nil, fmt.Errorf("smaps line %q: %w", lines.Text(), err)
			}
			out = append(out, m)
		} else if len(words) > 0 && words[0] == "VmFlags:" && len(out) > 0 {
			out[len(out)-1].Flags = words[1:]
		}
	}
	return out, lines.Err()
}

// Process looks through a process: its command line, its environment, and its memory but what skip says; nil skips nothing. It gives how many
// bytes of memory it read. A process that may not be looked into is an error, fs.ErrPermission.
func (f *Finder) Process(pid int, skip func(Mapping) bool) (hits []Hit, read int64, err error) {
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			return nil, 0, err
		}
		hits = append(hits, f.In(fmt.Sprintf("%s of process %d", name, pid), b)...)
	}
	maps, err := Mappings(pid)
	if err != nil {
		return hits, 0, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return hits, 0, err
	}
	defer mem.Close()
	pages, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return hits, 0, err
	}
	defer pages.Close()
	for _, m := range maps {
		if !strings.HasPrefix(m.Perms, "r") || m.High > math.MaxInt64 || skip != nil && skip(m) {
			continue
		}
		runs, err := present(pages, m)
		if err != nil {
			return hits, read, err
		}
		where := fmt.Sprintf("memory of process %d, %s %s", pid, m.Perms, m.Name)
		for _, r := range runs {
			found, err := f.Stream(where, io.NewSectionReader(mem, int64(r.Low), int64(r.High-r.Low)))
			if err != nil && strings.HasPrefix(m.Name, "[v") { // the kernel's own pages can't be read this way
				continue
			}
			if err != nil {
				return hits, read, fmt.Errorf("%s: %w", where, err)
			}
			read += int64(r.High - r.Low)
			for _, h := range found {
				h.Offset += int64(r.Low)
				hits = append(hits, h)
			}
		}
	}
	return hits, read, nil
}

// present gives the stretches of a mapping that the process has touched: pages in memory or in swap (proc_pid_pagemap(5), bits 63 and 62).
// The rest reads as zeros, or as a file's content, and can be very large.
func present(pages io.ReaderAt, m Mapping) (runs []Mapping, err error) {
	const entry, touched = 8, uint64(3) << 62
	size := uint64(os.Getpagesize())
	buf := make([]byte, 64<<10)
	for at := m.Low; at < m.High; {
		n, err := pages.ReadAt(buf[:min(uint64(len(buf)), (m.High-at)/size*entry)], int64(at/size*entry))
		if n < entry {
			return runs, fmt.Errorf("pagemap of %#x: %w", at, err)
		}
		for i := 0; i+entry <= n; i += entry {
			if binary.LittleEndian.Uint64(buf[i:])&touched != 0 {
				if last := len(runs) - 1; last >= 0 && runs[last].High == at {
					runs[last].High += size
				} else {
					runs = append(runs, Mapping{Low: at, High: at + size})
				}
			}
			at += size
		}
	}
	return runs, nil
}
