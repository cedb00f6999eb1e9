package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/mozilla-iam/eksguard/test/local"
)

// world is a control plane that holds what the demo starts from, and eksguard on guard over it.
type world struct {
	plane *local.ControlPlane
	guard *local.Eksguard
}

// worldOptions say where the world keeps and logs its things, and whom it tells of its progress.
type worldOptions struct {
	root               string // of the repository
	dir                string // of the control plane; temporary if empty
	bundle             string // that decides, or the .yaml that configures it; the default one, with the demo's, if empty
	planeLog, guardLog io.Writer
	progress           func(what string)
	started            func(local.Process) // called for each process, as soon as it runs
}

// startWorld starts everything. On an error nothing is left running.
func startWorld(ctx context.Context, o worldOptions) (*world, error) {
	w := &world{}
	if err := w.start(ctx, o); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, o worldOptions) error {
	var err error
	o.progress("starting etcd, kube-apiserver and kube-controller-manager")
	w.plane, err = local.StartControlPlane(ctx, local.Options{ControllerManager: true, Dir: o.dir, Log: o.planeLog})
	if err != nil {
		return err
	}
	for _, p := range w.plane.Processes() {
		o.started(p)
	}
	o.progress("applying test/demo/manifests/setup: namespaces, aws-auth, Flux")
	if err := setUp(ctx, w.plane, filepath.Join(o.root, manifests, "setup")); err != nil {
		return err
	}
	o.progress("starting eksguard")
	guard := local.EksguardOptions{Kubeconfig: w.plane.Kubeconfig, Log: o.guardLog}
	switch {
	case o.bundle == "":
		guard.Settings = filepath.Join(o.root, "test", "demo", "settings.yaml")
	case filepath.Ext(o.bundle) == ".yaml":
		guard.Config = o.bundle
	default:
		guard.Bundle = o.bundle
	}
	w.guard, err = local.StartEksguard(ctx, guard)
	if err != nil {
		return err
	}
	o.started(local.Process{Name: "eksguard", PID: w.guard.PID})
	return nil
}

// setUp applies the manifests before eksguard is there, as on a cluster that gets it later: nothing in them has to be
// confirmed.
func setUp(ctx context.Context, plane *local.ControlPlane, dir string) error {
	if _, err := plane.Kubectl().Succeed(ctx, "", "apply", "--server-side", "-f", dir); err != nil {
		return err
	}
	// It exists now; this waits until Pods can be created in it.
	return plane.CreateNamespace(ctx, "webservice-01")
}

// stop ends what was started, eksguard first, so that it can still say goodbye to the API server.
func (w *world) stop() error {
	var faults []error
	if w.guard != nil {
		faults = append(faults, w.guard.Stop())
	}
	if w.plane != nil {
		faults = append(faults, w.plane.Stop())
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
