// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/canon"
)

// PKCS#11 has no counter that tokens really offer. Here the number n is the name (CKA_ID) of a key that can't be read, changed or copied, and that
// authenticates the record of n in a file. An increment makes the key n+1, replaces the record, and destroys the key n; only then it is done.
// So a record of an earlier number has no key any more: older files are found out, and so is a token that was set back while the files were not.
// Both set back together are not.

// countRecord is the content of counter.pkcs11.
type countRecord struct {
	V    uint          `cbor:"1,keyasint"` // 1
	What string        `cbor:"2,keyasint"` // "counter.pkcs11"
	Root [rootID]byte  `cbor:"3,keyasint"`
	N    uint64        `cbor:"4,keyasint"`
	MAC  [macSize]byte `cbor:"5,keyasint"` // by the key of N, over the record with MAC zero
}

// countID is the CKA_ID of the key of a number.
func (r *Root) countID(n uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(r.record.ID[:]), n)
}

// ReadCounter implements [hsm.Counter].
func (r *Root) ReadCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "read", "counter", func() error {
		n, err = r.settle(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// IncrementCounter implements [hsm.Counter].
func (r *Root) IncrementCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "increment", "counter", func() error {
		if n, err = r.settle(ctx); err != nil {
			return err
		}
		next := n + 1
		err := r.token.do(ctx, "make the next number's key", func(m module, s p11.SessionHandle) error {
			if err := destroy(m, s, p11.CKO_SECRET_KEY, roleCount, r.countID(next)); err != nil { // of a first try whose answer was lost
				return err
			}
			_, err := generateAES(m, s, roleCount, r.countID(next))
			return err
		})
		if err == nil {
			err = r.writeCount(ctx, next)
		}
		if err == nil {
			err = r.dropCount(ctx, n)
		}
		n = next
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// settle finishes or undoes an increment that was interrupted, and gives the number. A number is not told before the key of the one before it is gone.
func (r *Root) settle(ctx context.Context) (uint64, error) {
	numbers, err := with(ctx, r.token, "look for the counter", r.counts)
	if err != nil {
		return 0, err
	}
	rec, err := r.readCount()
	if err != nil {
		return 0, err
	}
	latest := len(numbers) - 1
	switch {
	case len(numbers) == 1 && numbers[0] == rec.N:
	case len(numbers) == 2 && numbers[1] == numbers[0]+1 && (rec.N == numbers[0] || rec.N == numbers[1]):
	case rec.N < numbers[latest]:
		return 0, fmt.Errorf("%w: its record is of number %d, the token counts %d: older files were put in place", hsm.ErrAltered, rec.N, numbers[latest])
	default:
		return 0, fmt.Errorf("%w: its record is of number %d, the token counts %d: the token was set back, or the record altered", hsm.ErrAltered, rec.N, numbers[latest])
	}
	want, err := r.countMAC(ctx, rec)
	if err != nil {
		return 0, err
	}
	if subtle.ConstantTimeCompare(want[:], rec.MAC[:]) != 1 {
		return 0, fmt.Errorf("%w: %s is not authentic", hsm.ErrAltered, counterFile)
	}
	for _, n := range numbers {
		if n != rec.N {
			if err := r.dropCount(ctx, n); err != nil {
				return 0, err
			}
		}
	}
	return rec.N, nil
}

// counts gives the numbers whose keys are in the token, at least one, in order.
func (r *Root) counts(m module, s p11.SessionHandle) ([]uint64, error) {
	if err := r.present(m, s); err != nil {
		return nil, err
	}
	found, err := r.own(m, s, roleCount)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, o := range found {
		if len(o.id) != rootID+8 {
			return nil, fmt.Errorf("%w: a count key has an id of %d bytes", hsm.ErrAltered, len(o.id))
		}
		out = append(out, binary.BigEndian.Uint64(o.id[rootID:]))
	}
	slices.Sort(out)
	return out, nil
}

func (r *Root) dropCount(ctx context.Context, n uint64) error {
	return r.token.do(ctx, "destroy a number's key", func(m module, s p11.SessionHandle) error {
		if err := loggedIn(m, s); err != nil {
			return err
		}
		return destroy(m, s, p11.CKO_SECRET_KEY, roleCount, r.countID(n))
	})
}

// countMAC computes the MAC of a record by the key of its number.
func (r *Root) countMAC(ctx context.Context, rec countRecord) ([macSize]byte, error) {
	rec.MAC = [macSize]byte{}
	in := canon.Message(canon.TagPKCS11, rec)
	return with(ctx, r.token, "authenticate the counter", func(m module, s p11.SessionHandle) (out [macSize]byte, err error) {
		found, err := search(m, s, p11.CKO_SECRET_KEY, roleCount, r.countID(rec.N))
		if err == nil && len(found) != 1 {
			err = errors.Join(loggedIn(m, s), fmt.Errorf("%w: the token holds %d keys of number %d", hsm.ErrAltered, len(found), rec.N))
		}
		if err != nil {
			return out, err
		}
		b := make([]byte, macSize)
		err = cmac(m, s, found[0].handle, in, b)
		return [macSize]byte(b), err
	})
}

func (r *Root) writeCount(ctx context.Context, n uint64) error {
	rec := countRecord{V: 1, What: counterFile, Root: r.record.ID, N: n}
	mac, err := r.countMAC(ctx, rec)
	if err != nil {
		return err
	}
	rec.MAC = mac
	return durable.Replace(r.disk, r.path(counterFile), canon.Encode(rec))
}

func (r *Root) readCount() (countRecord, error) {
	b, err := r.disk.Read(r.path(counterFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return countRecord{}, fmt.Errorf("%w: %s is missing", hsm.ErrAltered, counterFile)
	}
	if err != nil {
		return countRecord{}, err
	}
	var rec countRecord
	if err := canon.Decode(b, &rec); err != nil {
		return countRecord{}, fmt.Errorf("%w: %s: %w", hsm.ErrAltered, counterFile, err)
	}
	if rec.V != 1 || rec.What != counterFile || rec.Root != r.record.ID {
		return countRecord{}, fmt.Errorf("%w: %s is of another root", hsm.ErrAltered, counterFile)
	}
	return rec, nil
}
