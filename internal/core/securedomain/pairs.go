// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"log/slog"
	"sync"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// DefaultPairs is how many RSA pairs of each size are kept ready.
const DefaultPairs = 8

// pairSizes are the sizes of RSA pairs that are made beforehand, in bits, the most wanted first.
var pairSizes = [...]int{2048, 4096, 3072}

// PairMaker makes an RSA pair with exponent 65537, as family.Key has it; rsakey.Make is one.
type PairMaker func(a *secret.Arena, bits int) (family.Key, error)

// pairPool keeps RSA pairs that were made beforehand, in the arena. Nothing of it outlives the process, and all is wiped with every unsealed key.
// One goroutine fills it, from the first grant on that lets somebody make RSA pairs. It implements family.RSAPool.
type pairPool struct {
	wake chan struct{} // has room for one: a pair was taken

	mu    sync.Mutex // guards the rest
	ready map[int][]family.Key
	wipes uint64 // how often all were wiped: what was being made meanwhile is not kept
}

// Take gives a pair, if one is ready.
func (p *pairPool) Take(bits int) (private secret.Bytes, public []byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.ready[bits]
	if len(list) == 0 {
		return secret.Bytes{}, nil, false
	}
	k := list[0]
	p.ready[bits] = list[1:]
	p.rouse()
	return k.Secret, k.Public, true
}

// rouse makes the filler look for something to do.
func (p *pairPool) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lacks gives the size of which most are missing, or 0.
func (p *pairPool) lacks(most int) (bits int, since uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := most
	for _, b := range pairSizes {
		if n := len(p.ready[b]); n < have {
			bits, have = b, n
		}
	}
	return bits, p.wipes
}

// keep takes a pair in, unless all were wiped since it was begun.
func (p *pairPool) keep(bits int, k family.Key, since uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wipes != since {
		k.Secret.Wipe()
		return
	}
	if p.ready == nil {
		p.ready = map[int][]family.Key{}
	}
	p.ready[bits] = append(p.ready[bits], k)
}

// wipe wipes all.
func (p *pairPool) wipe() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.ready {
		for _, k := range list {
			k.Secret.Wipe()
			n++
		}
	}
	p.ready = nil
	p.wipes++
	return n
}

// count says how many pairs are ready.
func (p *pairPool) count() (n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.ready {
		n += uint64(len(list))
	}
	return n
}

// fillPairs makes pairs while there is a grant that they are for, until the domain closes. It rests as long as each took, so that the machine is
// there for others at least half of the time.
func (d *Domain) fillPairs(m PairMaker) {
	defer d.work.Done()
	for {
		select {
		case <-d.apps.pairs.wake:
		case <-d.ctx.Done():
			return
		}
		for d.ctx.Err() == nil && d.pairsWanted() {
			bits, since := d.apps.pairs.lacks(d.cfg.Pairs)
			if bits == 0 {
				break
			}
			began := d.cfg.Clock.Boot()
			k, err := m(d.cfg.Arena, bits)
			if err != nil {
				if d.ctx.Err() == nil {
					d.slog.Warn("no RSA pair is made beforehand", slog.Any("error", err))
				}
				break // the next one that is taken, or the next grant, tries again
			}
			d.apps.pairs.keep(bits, k, since)
			d.pause(time.Duration(d.cfg.Clock.Boot() - began))
		}
	}
}

// pause waits, at most ten seconds, or until the domain closes.
func (d *Domain) pause(long time.Duration) {
	t := time.NewTimer(min(max(long, 0), 10*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.ctx.Done():
	}
}

// pairsWanted says whether the domain has keys and a grant that lets somebody make RSA pairs.
func (d *Domain) pairsWanted() bool {
	if d.Cause() != nil || d.withKeys() != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.AnyGrant(func(b *request.AppGrantBody) bool {
		return b.Allows(request.AppGenerate) && b.Mechanism(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN)
	})
}
