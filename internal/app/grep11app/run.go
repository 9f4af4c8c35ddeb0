// SPDX-License-Identifier: Apache-2.0

package grep11app

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"strongroom/internal/app/together"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/edge/grep11/apikey"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/gateway"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Service is the key of the service that the gateway is. Its methods are safe for concurrent use.
type Service interface {
	Person() custody.PersonID
	Public() request.PublicKey
	// Sign gives 64 bytes: RFC 8032 for Ed25519, r and s over SHA-256 for P-256.
	Sign(message []byte) ([]byte, error)
}

// sessionLife is how long the gateway's session at the core lasts; then it opens another.
const sessionLife = 12 * time.Hour

// gcPercent is how much the gateway's heap grows between two collections, unless the environment's GOGC says otherwise. Next to nothing lives
// in it, and each call throws some tens of kilobytes away.
const gcPercent = 400

// Connections to the door: together they take as many calls as the core does at a time.
const (
	connections = 3
	fewCalls    = 1024     // of small calls on a connection before the next one is used
	smallCall   = 64 << 10 // bytes from which on a call is no small one
)

// doors are connections to one core. Small calls go through the first one that has not many already, so that as many as possible share a read and a
// write at either end; large ones, which would be in their way, through the others in turns.
type doors struct {
	list []*door
	next atomic.Uint64
}

// door is a connection.
type door struct {
	*gate.Redialer
	calls atomic.Int64 // under way
}

func newDoors(path string) *doors {
	d := &doors{}
	for range connections {
		d.list = append(d.list, &door{Redialer: gate.NewRedialer(path)})
	}
	return d
}

// Call calls through one of the connections.
func (d *doors) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	c := d.pick(len(body))
	c.calls.Add(1)
	defer c.calls.Add(-1)
	return c.Redialer.Call(ctx, method, body)
}

func (d *doors) pick(size int) *door {
	if size < smallCall {
		for _, c := range d.list {
			if c.calls.Load() < fewCalls {
				return c
			}
		}
		return d.list[d.next.Add(1)%connections]
	}
	return d.list[1+d.next.Add(1)%(connections-1)]
}

func (d *doors) close() {
	for _, r := range d.list {
		_ = r.Close() // nothing is under way
	}
}

// Options are what is not configured. All but Ready and Identity are required.
type Options struct {
	Log      *slog.Logger
	Now      func() time.Time
	Service  Service
	Identity ed25519.PublicKey    // the domain's; nil: the one that the core tells
	Ready    func(address string) // called with host:port once the gateway listens
}

// most connections to the token endpoint and to the metrics, and of those from one address to the first.
const (
	most    = 64
	mostOwn = 16
)

// Run runs the gateway until ctx ends or a part fails for good. cfg must be filled ([Config.Fill]).
func Run(ctx context.Context, cfg Config, o Options) error {
	if o.Log == nil || o.Now == nil || o.Service == nil {
		return errors.New("grep11: log, clock and the service's key are required")
	}
	if _, told := os.LookupEnv("GOGC"); !told {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	if err := privateFolder(cfg.Data); err != nil {
		return fmt.Errorf("grep11: %w", err)
	}
	door := newDoors(cfg.Door)
	defer door.close() // its calls have ended
	core, err := gateway.New(gateway.Config{Door: door, Service: o.Service.Person(), Key: o.Service.Public().Ref(), Sign: o.Service.Sign, Now: o.Now, Life: sessionLife,
		Identity: o.Identity})
	if err != nil {
		return err
	}
	conf := grep11.Config{Core: core, Log: o.Log, Now: o.Now, Local: cfg.PlaintextLocal}
	if cfg.PlaintextLocal == "" {
		if conf.TLS, conf.ClientCAs, err = serverTLS(cfg, o.Now); err != nil {
			return err
		}
	}
	if cfg.TokenListen != "" {
		if conf.Tokens, err = apikey.Open(apikey.Config{Keys: filepath.Join(cfg.Data, APIKeysFile), Token: filepath.Join(cfg.Data, tokenKeyFile),
			Life: cfg.TokenLife, Now: o.Now}); err != nil {
			return err
		}
	}
	srv, err := grep11.New(conf)
	if err != nil {
		return err
	}
	return listen(ctx, cfg, o, srv, conf.TLS)
}

// listen opens all listeners before any is served.
func listen(ctx context.Context, cfg Config, o Options, srv *grep11.Server, conf *tls.Config) error {
	var open []net.Listener
	listener := func(address string) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			for _, other := range open {
				_ = other.Close() // nobody was served
			}
			return nil, fmt.Errorf("grep11: %w", err)
		}
		open = append(open, l)
		return l, nil
	}
	main, err := listener(cfg.Listen)
	if err != nil {
		return err
	}
	work := []func(context.Context) error{func(ctx context.Context) error { return srv.Serve(ctx, main) }}
	where := []any{slog.String("address", main.Addr().String()), slog.String("door", cfg.Door), slog.Bool("plaintext", conf == nil)}
	if cfg.TokenListen != "" {
		l, err := listener(cfg.TokenListen)
		if err != nil {
			return err
		}
		where = append(where, slog.String("token_address", public(l.Addr(), cfg)))
		own := conf.Clone()
		own.ClientAuth, own.NextProtos = tls.NoClientCert, []string{"http/1.1"}
		work = append(work, web(o.Log, tls.NewListener(grep11.Bounded(l, most, mostOwn), own), srv.TokenEndpoint()))
	}
	if cfg.MetricsListen != "" {
		l, err := listener(cfg.MetricsListen)
		if err != nil {
			return err
		}
		if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			for _, other := range open {
				_ = other.Close() // nobody was served
			}
			return fmt.Errorf("grep11: metrics are not authenticated; %s is not on loopback", l.Addr())
		}
		where = append(where, slog.String("metrics_address", l.Addr().String()))
		work = append(work, web(o.Log, netutil.LimitListener(l, most), srv.Metrics()))
	}
	o.Log.InfoContext(ctx, "gateway is open", where...)
	if o.Ready != nil {
		o.Ready(public(main.Addr(), cfg))
	}
	return together.Run(ctx, work)
}

// web serves HTTP on a listener until the context ends.
func web(log *slog.Logger, l net.Listener, h http.Handler) func(context.Context) error {
	return func(ctx context.Context) error {
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute,
			MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)} // handshakes of strangers
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(l) }() // ends with Close; received below
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		err := srv.Close()
		<-ended
		return err
	}
}

// public gives the address that callers use: the first name of the certificate, and the port that is listened on.
func public(a net.Addr, cfg Config) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil || cfg.PlaintextLocal != "" {
		return a.String()
	}
	return net.JoinHostPort(cfg.Names[0], port)
}

// serverTLS gives the server's side of TLS, and whose certificates clients must have; nil: anybody's.
func serverTLS(cfg Config, now func() time.Time) (*tls.Config, *x509.CertPool, error) {
	var roots *x509.CertPool
	if cfg.ClientCA != "" {
		b, err := os.ReadFile(cfg.ClientCA)
		if err != nil {
			return nil, nil, fmt.Errorf("grep11: authorities of client certificates: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(b) {
			return nil, nil, fmt.Errorf("grep11: %s holds no certificate", cfg.ClientCA)
		}
	}
	if cfg.Certificate != "" {
		c, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.PrivateKey)
		if err != nil {
			return nil, nil, fmt.Errorf("grep11: certificate: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c}, Time: now}, roots, nil
	}
	ca, err := tlsca.Open(tlsca.Config{Dir: cfg.Authority, Names: cfg.Names, Now: now})
	if err != nil {
		return nil, nil, err
	}
	return ca.ServerTLS(), roots, nil
}

// privateFolder makes the data folder, or refuses one that others may look into.
func privateFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	i, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := i.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("data folder %s is open to others (mode %04o): run 'chmod 700 %s'", path, mode, path)
	}
	return nil
}
