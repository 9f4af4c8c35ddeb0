// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"strongroom/internal/app/grep11app"
	"strongroom/internal/app/serveapp"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// upCmd runs core and serve as one user on one machine. That is for evaluation: whoever takes over serve is then the user whose core it is.
type upCmd struct {
	coreFlags
	serveFlags
	TimeSources string `name:"time-sources" placeholder:"FILE" help:"Authenticated sources of the core's time, with --relay-ntp and --relay-nts; default: the system clock."`

	GREP11 grep11Flags `embed:"" prefix:"grep11-"` // the gateway runs if its service's key is given

	TakeOver bool `help:"Take the log over from a core that may still run."`
	Verbose  bool `short:"v" help:"Write logs to standard error instead of files in the data folder."`
}

// stopTime is how long the core may take to end.
const stopTime = 30 * time.Second

// Run starts both, and stops both.
func (c *upCmd) Run(e *env) error {
	d, err := readDomainFile(filepath.Join(c.Data, domainName))
	if errors.Is(err, fs.ErrNotExist) {
		return hint(err, "no domain is in %s; 'strongroom domain create' makes one, 'strongroom domain finish' completes it", c.Data)
	}
	if err != nil {
		return err
	}
	if d.Profile != custody.Evaluation {
		return hint(fmt.Errorf("the domain has the %s profile; up is for evaluation", d.Profile), "run 'strongroom core run' and 'strongroom serve' as two users; deploy/ has the units")
	}
	conf := serveapp.Config{Data: filepath.Join(c.Data, "serve")}
	conf.Door, conf.Tiles = doorOf(c.Data)
	if err := c.apply(&conf); err != nil {
		return err
	}
	if err := conf.Fill(); err != nil {
		return usage("%w", err)
	}
	apps, err := c.gateway(conf)
	if err != nil {
		return err
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	coreLog, err := c.log(e, "core.log")
	if err != nil {
		return err
	}
	defer coreLog.Close()
	serveLog, err := c.log(e, "serve.log")
	if err != nil {
		return err
	}
	defer serveLog.Close()
	e.say("Opening the domain…")
	core, err := c.start(pass, coreLog, len(conf.Relay.Witnesses) > 0 || c.TimeSources != "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	go func() { // ends with the core, which is stopped below
		<-core.done
		cancel(errors.New("the core has ended"))
	}()
	outer := e.ctx
	e.ctx = ctx
	wait, err := c.runGateway(e, apps, cancel)
	if err != nil {
		return errors.Join(err, core.stop())
	}
	err = e.serve(conf, logFile(serveLog), func(url string) {
		c.welcome(e, url, conf)
		select {
		case <-core.ready:
		default:
			e.say("The core waits for its log witnesses; a call is answered with what it waits for.")
		}
	})
	e.ctx = outer
	died := outer.Err() == nil && context.Cause(ctx) != nil // looked at before the core is stopped, which ends ctx too
	cancel(nil)
	if gone := wait(); gone != nil {
		return errors.Join(gone, err, core.stop())
	}
	ended := core.stop()
	if died {
		return hint(errors.Join(fmt.Errorf("the core has ended: %s", core.lastError(c)), err), "its log is %s", filepath.Join(c.Data, "core.log"))
	}
	return errors.Join(err, ended)
}

// gateway gives the configuration of the GREP11 gateway; nil if it is not wanted. It shares serve's certificate authority.
func (c *upCmd) gateway(serve serveapp.Config) (*grep11app.Config, error) {
	if c.GREP11.Key == "" {
		if c.GREP11.given() {
			return nil, usage("--grep11-service-key is required: the key file of the service that the gateway is")
		}
		return nil, nil
	}
	conf := &grep11app.Config{Data: filepath.Join(c.Data, "grep11"), Authority: serve.Data, Door: serve.Door}
	c.GREP11.apply(conf)
	if err := conf.Fill(); err != nil {
		return nil, usage("%w", err)
	}
	return conf, nil
}

// runGateway starts the gateway beside serve, if it is wanted, and waits until it listens. When it fails, fail ends serve. wait waits for its end.
func (c *upCmd) runGateway(e *env, conf *grep11app.Config, fail context.CancelCauseFunc) (wait func() error, err error) {
	if conf == nil {
		return func() error { return nil }, nil
	}
	log, err := c.log(e, "grep11.log")
	if err != nil {
		return nil, err
	}
	key, err := e.open(conf.Key) // here, for it may ask at the terminal
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	open := make(chan string, 1)
	ended := make(chan error, 1)
	ctx := e.ctx
	go func() { // ends with ctx; wait waits
		err := runGREP11(ctx, *conf, logFile(log), key, func(address string) { open <- address })
		if err != nil {
			fail(err)
		}
		ended <- errors.Join(err, log.Close())
	}()
	select {
	case address := <-open:
		fmt.Fprintf(e.Out, "grep11 %s\n", address)
		return func() error { return <-ended }, nil
	case err := <-ended:
		return nil, err
	}
}

// welcome names the next steps.
func (c *upCmd) welcome(e *env, url string, conf serveapp.Config) {
	e.say("Strongroom is up; Ctrl-C stops it.")
	if !c.Verbose {
		e.say("Logs are %s and %s.", filepath.Join(c.Data, "core.log"), filepath.Join(c.Data, "serve.log"))
	}
	if conf.Pages != nil {
		e.say("People with a browser: %s/app/", conf.Pages.Origin)
	}
	if len(conf.Chains) == 0 {
		e.say("No chain has a node: transfers are approved but not sent. --node names one.")
	}
	e.hint("in another terminal: strongroom person certificate --key YOUR.key --domain %s --serve-data %s --server %s --out ME",
		filepath.Join(c.Data, domainName), conf.Data, url)
}

// log opens a log file, or standard error.
func (c *upCmd) log(e *env, name string) (*os.File, error) {
	if f, ok := e.Err.(*os.File); ok && c.Verbose {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), f.Name()), nil
	}
	return os.OpenFile(filepath.Join(c.Data, name), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}

// running is a core that was started.
type running struct {
	cmd  *exec.Cmd
	log  *os.File
	from int64         // where its words begin in the log
	done chan struct{} // closed when it has ended
	// ready is closed when its domain is open.
	ready chan struct{}
	err   error // how; read it after done
}

// start starts the core and waits until its domain is open; with relay, until its door answers, because what the domain waits for comes
// through it.
func (c *upCmd) start(pass secret.Bytes, log *os.File, relay bool) (*running, error) {
	args := c.args("run", "--socket", filepath.Join(c.Data, "door", "core.sock"), "--ready-fd", "4")
	if c.TimeSources != "" {
		args = append(args, "--time-sources", c.TimeSources)
	}
	if c.TakeOver {
		args = append(args, "--take-over")
	}
	if err := os.MkdirAll(filepath.Join(c.Data, "door"), 0o700); err != nil {
		return nil, err
	}
	// Not bound to a context: it is stopped after serve, and asked first.
	cmd, pipe, err := coreCommand(context.Background(), pass, args...)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is for us: we stop serve first, then the core
	at, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		at = 0 // not a file
	}
	err = cmd.Start()
	if err = errors.Join(err, pipe.Close(), w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	run := &running{cmd: cmd, log: log, from: at, done: make(chan struct{}), ready: make(chan struct{})}
	go func() { // ends with the core
		run.err = cmd.Wait()
		close(run.done)
	}()
	go func() { // ends with the core, or when it is ready
		defer r.Close()
		if _, err := bufio.NewReader(r).ReadString('\n'); err == nil {
			close(run.ready)
		}
	}()
	for {
		select {
		case <-run.ready:
			return run, nil
		case <-run.done:
			return nil, fmt.Errorf("%s: %s", coreProgram, run.lastError(c))
		case <-time.After(doorPoll):
		}
		if door, _ := doorOf(c.Data); relay && answers(door) {
			return run, nil
		}
	}
}

// doorPoll is how often the door is tried.
const doorPoll = 50 * time.Millisecond

// answers says whether something listens on a socket.
func answers(path string) bool {
	c, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// stop asks the core to end and waits.
func (r *running) stop() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // may have ended
	select {
	case <-r.done:
	case <-time.After(stopTime):
		_ = r.cmd.Process.Kill()
		<-r.done
		return fmt.Errorf("the core did not end within %s and was killed; nothing is lost, its next start reads the log", stopTime)
	}
	if r.err != nil {
		return fmt.Errorf("the core: %w", r.err)
	}
	return nil
}

// lastError gives what the core said went wrong.
func (r *running) lastError(c *upCmd) string {
	if c.Verbose {
		return "see above"
	}
	b, err := io.ReadAll(io.NewSectionReader(r.log, r.from, 1<<20))
	if s := lastError(string(b)); err == nil && s != "" {
		return s
	}
	return fmt.Sprint(r.err)
}
