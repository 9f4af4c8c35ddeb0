// SPDX-License-Identifier: Apache-2.0

package nts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"strongroom/internal/core/internal/siv"
	"strongroom/internal/core/timeguard"
)

// Key establishment, RFC 8915 section 4.
const (
	alpn            = "ntske/1"
	exporterLabel   = "EXPORTER-network-time-security"
	protocolNTPv4   = 0
	aeadSIVCMAC256  = 15
	keySize         = 32
	maxAnswer       = 16 << 10 // of records
	maxRecords      = 64
	maxCookies      = 8
	maxCookie       = 512 // bytes
	minCookie       = 16
	critical        = 0x8000
	recordEnd       = 0
	recordProtocol  = 1
	recordError     = 2
	recordWarning   = 3
	recordAEAD      = 4
	recordCookie    = 5
	recordServer    = 6
	recordPort      = 7
	maxServerLength = 255
)

// association is what a key establishment gives.
type association struct {
	send, receive *siv.AEAD
	cookies       [][]byte
	host          string // negotiated server for packets; empty: the one that was asked
	port          uint16 // negotiated port; 0: the usual one

	notBefore, notAfter int64 // validity of the certificates, Unix nanoseconds
}

// establish agrees on keys and cookies over a stream, which it closes.
func establish(ctx context.Context, conn net.Conn, serverName string, roots *x509.CertPool, known timeguard.Known) (*association, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	v := verifier{serverName: serverName, roots: roots, known: known}
	t := tls.Client(conn, v.config())
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	cs := t.ConnectionState()
	if cs.NegotiatedProtocol != alpn {
		return nil, fmt.Errorf("the server does not speak %s", alpn)
	}
	if _, err := t.Write(question()); err != nil {
		return nil, err
	}
	a, err := readAnswer(io.LimitReader(t, maxAnswer))
	if err != nil {
		return nil, err
	}
	if a.send, err = export(cs, 0); err != nil {
		return nil, err
	}
	if a.receive, err = export(cs, 1); err != nil {
		return nil, err
	}
	a.notBefore, a.notAfter = v.notBefore, v.notAfter
	return a, nil
}

// export gives the key of a direction: 0 to the server, 1 from it (section 5.1).
func export(cs tls.ConnectionState, direction byte) (*siv.AEAD, error) {
	key, err := cs.ExportKeyingMaterial(exporterLabel, []byte{0, protocolNTPv4, 0, aeadSIVCMAC256, direction}, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return siv.New(key)
}

func appendRecord(b []byte, kind uint16, body ...byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func question() []byte {
	b := appendRecord(nil, critical|recordProtocol, 0, protocolNTPv4)
	b = appendRecord(b, critical|recordAEAD, 0, aeadSIVCMAC256)
	return appendRecord(b, critical|recordEnd)
}

// readAnswer reads the records of a server, up to the end record. What follows it is not read.
func readAnswer(r io.Reader) (*association, error) {
	a := &association{}
	seen := map[uint16]bool{}
	for range maxRecords {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, fmt.Errorf("the answer ends too early: %w", err)
		}
		kind := binary.BigEndian.Uint16(head[:])
		body := make([]byte, binary.BigEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("the answer ends too early: %w", err)
		}
		base := kind &^ critical
		if base != recordCookie && base <= recordPort {
			if seen[base] {
				return nil, fmt.Errorf("record %d comes twice", base)
			}
			seen[base] = true
		}
		if base == recordEnd {
			if len(body) != 0 || kind&critical == 0 {
				return nil, errors.New("the end record is not empty and critical")
			}
			return a, a.complete(seen)
		}
		if err := a.record(base, kind&critical != 0, body); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the answer has more than %d records", maxRecords)
}

func (a *association) complete(seen map[uint16]bool) error {
	if !seen[recordProtocol] || !seen[recordAEAD] || len(a.cookies) == 0 {
		return errors.New("the answer lacks protocol, AEAD or cookies")
	}
	return nil
}

// record takes one record over.
func (a *association) record(kind uint16, isCritical bool, body []byte) error {
	switch kind {
	case recordError:
		return fmt.Errorf("the server refuses, error %x", body)
	case recordWarning:
		return fmt.Errorf("the server warns, code %x", body) // section 4.1.4: of what isn't known, as an error
	case recordProtocol:
		if string(body) != "\x00\x00" {
			return errors.New("the server offers no NTP version 4")
		}
	case recordAEAD:
		if string(body) != "\x00\x0f" {
			return errors.New("the server offers no AEAD_AES_SIV_CMAC_256")
		}
	case recordCookie:
		if n := len(body); n < minCookie || n > maxCookie || n%4 != 0 {
			return fmt.Errorf("a cookie has %d bytes; %d to %d are taken, multiples of 4", n, minCookie, maxCookie)
		}
		if len(a.cookies) < maxCookies {
			a.cookies = append(a.cookies, body)
		}
	case recordServer:
		if !hostname(string(body)) {
			return errors.New("the server names another that is no host name")
		}
		a.host = string(body)
	case recordPort:
		if len(body) != 2 || body[0] == 0 && body[1] == 0 {
			return errors.New("the server names a port that is none")
		}
		a.port = binary.BigEndian.Uint16(body)
	default:
		if isCritical {
			return fmt.Errorf("critical record %d is unknown", kind)
		}
	}
	return nil
}

// hostname says whether a text is a host name or an address, as far as its characters tell.
func hostname(s string) bool {
	return s != "" && len(s) <= maxServerLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:") == ""
}

// verifier checks a server's certificates at a time that may not be known.
type verifier struct {
	serverName string
	roots      *x509.CertPool
	known      timeguard.Known

	notBefore, notAfter int64 // of the chain that was found, Unix nanoseconds
}

func (v *verifier) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, ServerName: v.serverName, RootCAs: v.roots,
		Time: func() time.Time { return time.Unix(0, max(v.known.Time, v.known.Floor)) },
		// The package's own verification wants to know the time. VerifyConnection does all that it does, for a time that fits.
		InsecureSkipVerify: true, //nolint:gosec // see the comment
		VerifyConnection:   func(cs tls.ConnectionState) error { return v.verify(cs.PeerCertificates) },
	}
}

// verify checks a chain of certificates. Where the time is known they must be valid then. Where it is not, there must be a time, not
// before the floor, at which they are; the guard compares with the time that the sources agree on.
func (v *verifier) verify(certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return errors.New("the server shows no certificate")
	}
	floor := time.Unix(0, v.known.Floor)
	at := []time.Time{time.Unix(0, v.known.Time)}
	if !v.known.Certain { // the beginning and the end of the leaf's own validity; those who signed it are mostly valid for longer
		at = []time.Time{certs[0].NotBefore, certs[0].NotAfter}
		if floor.After(at[0]) {
			at[0] = floor
		}
	}
	opts := x509.VerifyOptions{DNSName: v.serverName, Roots: v.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	var err error
	for _, t := range at {
		var chains [][]*x509.Certificate
		opts.CurrentTime = t
		if chains, err = certs[0].Verify(opts); err == nil {
			v.validity(chains[0])
			if v.notAfter < v.known.Floor {
				return fmt.Errorf("the certificates were valid until %s only", time.Unix(0, v.notAfter).UTC().Format(time.RFC3339))
			}
			return nil
		}
	}
	return err
}

// validity notes when all certificates of a chain are valid.
func (v *verifier) validity(chain []*x509.Certificate) {
	from, to := chain[0].NotBefore, chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	v.notBefore, v.notAfter = nanoseconds(from), nanoseconds(to)
}

// nanoseconds gives a time since the Unix epoch, the last that can be told for one beyond it.
func nanoseconds(t time.Time) int64 {
	const last = int64(1<<63-1) / int64(time.Second)
	return min(max(t.Unix(), -last), last) * int64(time.Second)
}
