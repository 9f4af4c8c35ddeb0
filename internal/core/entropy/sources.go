// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/core/hsm"
)

// ErrAbsent says that the machine doesn't have a source, or not for this user.
var ErrAbsent = errors.New("the machine has none, or not for this user")

// system is crypto/rand.
type system struct{}

// System is the system's randomness: crypto/rand, which is getrandom(2), and in Go's FIPS mode a CTR_DRBG seeded also by the CPU jitter source
// of Go's cryptographic module. That source has no other door: without GODEBUG=fips140=on it isn't part of the mix.
func System() Source { return system{} }

func (system) Name() string { return "system" }

// Read never fails: crypto/rand ends the process when the system has no randomness.
func (system) Read(_ context.Context, b []byte) error {
	rand.Read(b)
	return nil
}

// seeder is RDSEED.
type seeder struct {
	present bool
	word    func() (uint64, bool)
}

// RDSEED is the instruction of x86 processors. It is absent elsewhere.
func RDSEED() Source { return seeder{present: hasRDSEED(), word: rdseed} }

func (seeder) Name() string { return "rdseed" }

// seedTries is how often a word is asked for, as the manufacturers recommend for a generator under load.
const seedTries = 10

func (s seeder) Read(ctx context.Context, b []byte) error {
	if !s.present {
		return fmt.Errorf("rdseed: %w", ErrAbsent)
	}
	for len(b) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := s.draw()
		if err != nil {
			return err
		}
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], x)
		b = b[copy(b, word[:]):]
		clear(word[:])
	}
	return nil
}

// draw asks for a word up to ten times. A word of zeros or ones counts as a failure: processors have been sold that say success and give
// one of them (0 by RDSEED of some Zen 5, all ones by RDRAND of older ones after sleep), and good ones give it once in 2^64 words.
func (s seeder) draw() (uint64, error) {
	for range seedTries {
		if x, ok := s.word(); ok && x != 0 && x != ^uint64(0) {
			return x, nil
		}
	}
	return 0, fmt.Errorf("rdseed: no word in %d tries", seedTries)
}

// HardwareDevice is where the kernel offers a hardware generator's output.
const HardwareDevice = "/dev/hwrng"

// deviceWait is how long a device may take for one read.
const deviceWait = 5 * time.Second

type device struct{ name, path string }

// Device is a character device that gives randomness, such as [HardwareDevice]. It is opened for each read, so it may come and go.
func Device(name, path string) Source { return device{name, path} }

func (d device) Name() string { return d.name }

// Read waits for a device that has nothing ready, but no longer than deviceWait.
func (d device) Read(ctx context.Context, b []byte) error {
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", d.path, ErrAbsent)
	case err != nil:
		return err
	case info.Mode()&fs.ModeCharDevice == 0:
		return fmt.Errorf("%s: not a character device", d.path)
	}
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", d.path, absent(err))
	}
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	err = readAll(ctx, func(b []byte) (int, error) { return unix.Read(fd, b) }, b)
	return errors.Join(absent(err), unix.Close(fd))
}

// absent marks the errors of a device that has no hardware behind it or is not for this user.
func absent(err error) error {
	for _, is := range []error{unix.ENODEV, unix.ENXIO, unix.EACCES, unix.EPERM} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", ErrAbsent, err)
		}
	}
	return err
}

// pause is between two looks at a device that had nothing.
const pause = 5 * time.Millisecond

// readAll fills b from a descriptor that doesn't block.
func readAll(ctx context.Context, read func([]byte) (int, error), b []byte) error {
	for len(b) > 0 {
		n, err := read(b)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			select {
			case <-ctx.Done():
				return fmt.Errorf("it gave nothing in time: %w", ctx.Err())
			case <-time.After(pause):
			}
		case err != nil:
			return err
		case n <= 0:
			return io.ErrUnexpectedEOF
		default:
			b = b[n:]
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// root is the generator of a root of trust.
type root struct{ from hsm.Randomness }

// Root is the generator of a root of trust, which conditions its output.
func Root(from hsm.Randomness) Source { return root{from} }

func (root) Name() string { return "root" }

func (r root) Read(ctx context.Context, b []byte) error { return r.from.Random(ctx, b) }

// hwrngNoise is what is claimed for a byte of a hardware device whose design nobody told: one bit.
const hwrngNoise = 1

// Machine lists what a machine has: the system, RDSEED and the kernel's hardware device; from is a root's generator, or nil.
func Machine(from hsm.Randomness) []Use {
	list := []Use{{Source: System(), Credited: true}, {Source: RDSEED()}, {Source: Device("hwrng", HardwareDevice), Noise: hwrngNoise}}
	if from != nil {
		list = append(list, Use{Source: Root(from)})
	}
	return list
}
