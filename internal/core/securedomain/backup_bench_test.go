// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// BenchmarkRestore restores a domain of STRONGROOM_RESTORE_WALLETS wallets (1,000 if it is not set), each with its seed in a blob of its own,
// from a backup in memory to files: all is read, folded, opened and compared, then written. BenchmarkRestore/backup is the backup of it.
func BenchmarkRestore(b *testing.B) {
	wallets, err := strconv.Atoi(os.Getenv("STRONGROOM_RESTORE_WALLETS"))
	if err != nil {
		wallets = 1000
	}
	h := domaintest.New(b, domaintest.Options{Memory: domaintest.NewMemory(), Document: func(d *policy.Document) {
		for i := range d.Routes {
			if d.Routes[i].ID == "wallets" {
				d.Routes[i].Auto, d.Routes[i].Plan = true, policy.Plan{}
			}
		}
	}})
	var wg sync.WaitGroup
	const callers = 64
	for c := range callers {
		wg.Go(func() {
			for i := c; i < wallets; i += callers {
				r := request.Request{V: 1, Authority: h.D.Authority(), Domain: h.D.ID(), Initiator: h.Alice.ID, Key: fmt.Sprintf("wallet-%d", i),
					Operation: request.WalletCreate, NotAfter: h.Clock.Wall.Load()/1e9 + 3600,
					Body: canon.Encode(request.WalletCreateBody{Wallet: custody.WalletID(fmt.Sprintf("w%d", i)), Chain: domaintest.Chain, Scheme: request.SchemeEVM})}
				if _, err := h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: h.Alice.Sign(r)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	f := domaintest.Folder{}
	b.Run("backup", func(b *testing.B) {
		for b.Loop() {
			f = domaintest.Folder{}
			if _, err := h.Backup(f, calm); err != nil {
				b.Fatal(err)
			}
		}
	})
	size := 0
	for _, file := range f {
		size += len(file)
	}
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			n := h.NewMachine(false)
			n.Options.Memory = nil // files
			b.StartTimer()
			r, err := n.RestoreBackup(f, f.Newest())
			if err != nil || r.Keys != wallets {
				b.Fatalf("%+v, %v", r, err)
			}
		}
		b.ReportMetric(float64(wallets), "wallets")
		b.ReportMetric(float64(size), "bytes")
	})
}
