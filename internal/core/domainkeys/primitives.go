// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"

	"strongroom/internal/pure/canon"
)

// signer is an Ed25519 key. The private key sits behind a func, like the content of a secret, because fmt looks into fields.
type signer struct {
	public  [ed25519.PublicKeySize]byte
	private func() ed25519.PrivateKey
}

func newSigner(seed []byte) signer {
	k := ed25519.NewKeyFromSeed(seed)
	return signer{public: [ed25519.PublicKeySize]byte(k[ed25519.SeedSize:]), private: func() ed25519.PrivateKey { return k }}
}

func (s signer) sign(message []byte) []byte { return ed25519.Sign(s.private(), message) }

// wipe clears the key. Signing panics afterwards.
func (s *signer) wipe() {
	if s.private != nil {
		clear(s.private())
		s.private = nil
	}
}

// prf is HMAC-SHA-256 under one key, with one keyed state for all calls.
type prf struct {
	tag canon.Tag

	mu  sync.Mutex // guards mac's state
	mac func() hash.Hash
}

func newPRF(key []byte, tag canon.Tag) *prf {
	mac := hmac.New(sha256.New, key)
	return &prf{tag: tag, mac: func() hash.Hash { return mac }}
}

// sum returns the MAC of tag || 0x00 || message.
func (p *prf) sum(message []byte) (out [sha256.Size]byte) {
	m := canon.TagBytes(p.tag, message)
	p.mu.Lock()
	defer p.mu.Unlock()
	mac := p.mac()
	mac.Reset()
	mac.Write(m)
	mac.Sum(out[:0])
	return out
}
