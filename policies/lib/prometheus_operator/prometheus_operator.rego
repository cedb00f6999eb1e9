# METADATA
# title: Prometheus Operator
# description: |
#   Which CRDs a version of prometheus-operator comes with, and how the version of a CRD is told (from
#   example/prometheus-operator-crd at each of its releases from 0.23.0 to 0.93.0).
package eksguard.lib.prometheus_operator

# METADATA
# description: |
#   A version, or a tag that begins with one, as a semantic version: "v0.93.0" and "0.93.0-distroless" are 0.93.0,
#   "0.93" is 0.93.0, "v0.94.0-rc.0" is 0.94.0-rc.0. Undefined for everything else.
version(text) := concat("", [concat(".", [major, minor, _patch(patch)]), pre]) if {
	is_string(text)
	number := `(0|[1-9]\d{0,5})`
	pre_release := `(-(?:alpha|beta|rc)(?:\.?(?:0|[1-9]\d{0,5}))?)?`
	pattern := sprintf(`\Av?%s\.%s(?:\.%s)?%s(?:(?:[-+_]|\.[^0-9]).*)?\z`, [number, number, number, pre_release])
	[[_, major, minor, patch, pre]] := regex.find_all_string_submatch_n(pattern, text, 1)
}

_patch("") := "0"

_patch(patch) := patch if patch != ""

# METADATA
# description: True if the first version is older than the second. Both come from version.
older(version_a, version_b) if semver.compare(version_a, version_b) < 0

# METADATA
# description: The oldest of a set of versions, undefined for none.
oldest(versions) := first if {
	some first in versions
	every other in versions { not older(other, first) }
}

# METADATA
# description: |
#   The names of the CRDs that an operator of that version needs to find, in order. Versions before 0.39.0 make and
#   update their CRDs themselves.
needed(operator_version) := [] if older(operator_version, "0.39.0")

needed(operator_version) := sort([name | some name, crd in crds; not older(operator_version, crd.since)]) if {
	not older(operator_version, "0.39.0")
}

# METADATA
# description: The file of a CRD in example/prometheus-operator-crd, since 0.35.0.
file(name) := sprintf("monitoring.coreos.com_%s.yaml", [split(name, ".")[0]])

# METADATA
# description: What a CRD's annotation says, undefined where it is absent, as before 0.69.0, or no version.
annotated(crd) := version(crd.metadata.annotations["operator.prometheus.io/version"])

# METADATA
# description: The fields of spec that a CRD serves, in any of its versions that are served.
fields(crd) := {field |
	some crd_version in crd.spec.versions
	is_object(crd_version)
	object.get(crd_version, "served", true) == true
	some field, _ in crd_version.schema.openAPIV3Schema.properties.spec.properties
}

# METADATA
# description: |
#   The first version that a CRD is certainly older than, by the fields that it serves: it lacks the field of that
#   version, and has none of a newer one. Undefined where the fields tell nothing.
lags(name, crd) := {"version": first, "field": markers[first]} if {
	served := fields(crd)
	count(served) > 0
	markers := crds[name].fields
	present := {marked | some marked, field in markers; field in served}
	missing := {marked |
		some marked, _ in markers
		every other in present { older(other, marked) }
	}
	first := oldest(missing)
}

# METADATA
# description: The fields that releases have renamed, so that serving them no more is no step back.
renamed := {"NomadSDConfigs", "scrapeFallbackProtocol"}

# METADATA
# description: |
#   The CRDs by name: the kind, where its objects are in data.cluster, the first version with it, and by version a
#   field of spec that is new in that version and there ever since.
crds := {
	"alertmanagerconfigs.monitoring.coreos.com": {
		"kind": "AlertmanagerConfig",
		"objects": "monitoring.coreos.com/v1alpha1/alertmanagerconfigs",
		"since": "0.43.0",
		"fields": {
			"0.53.0": "muteTimeIntervals",
		},
	},
	"alertmanagers.monitoring.coreos.com": {
		"kind": "Alertmanager",
		"objects": "monitoring.coreos.com/v1/alertmanagers",
		"since": "0.0.0",
		"fields": {
			"0.24.0": "additionalPeers",
			"0.25.0": "configMaps",
			"0.27.0": "image",
			"0.30.0": "logFormat",
			"0.32.0": "initContainers",
			"0.33.0": "volumeMounts",
			"0.34.0": "configSecret",
			"0.39.0": "clusterAdvertiseAddress",
			"0.42.0": "forceEnableClusterMode",
			"0.43.0": "alertmanagerConfigNamespaceSelector",
			"0.44.0": "clusterGossipInterval",
			"0.51.0": "minReadySeconds",
			"0.55.0": "alertmanagerConfiguration",
			"0.57.0": "hostAliases",
			"0.58.0": "web",
			"0.61.0": "alertmanagerConfigMatcherStrategy",
			"0.62.0": "imagePullPolicy",
			"0.66.0": "automountServiceAccountToken",
			"0.71.0": "clusterLabel",
			"0.73.0": "enableFeatures",
			"0.78.0": "dnsConfig",
			"0.79.0": "persistentVolumeClaimRetentionPolicy",
			"0.81.0": "clusterTLS",
			"0.82.0": "additionalArgs",
			"0.83.0": "limits",
			"0.85.0": "hostUsers",
			"0.88.0": "podManagementPolicy",
			"0.89.0": "hostNetwork",
			"0.90.0": "schedulerName",
		},
	},
	"podmonitors.monitoring.coreos.com": {
		"kind": "PodMonitor",
		"objects": "monitoring.coreos.com/v1/podmonitors",
		"since": "0.31.0",
		"fields": {
			"0.43.0": "targetLimit",
			"0.50.0": "labelLimit",
			"0.57.0": "attachMetadata",
			"0.68.0": "keepDroppedTargets",
			"0.72.0": "scrapeClass",
			"0.73.0": "bodySizeLimit",
			"0.78.0": "nativeHistogramBucketLimit",
			"0.79.0": "selectorMechanism",
			"0.79.1": "fallbackScrapeProtocol",
			"0.82.0": "convertClassicHistogramsToNHCB",
			"0.88.0": "scrapeNativeHistograms",
		},
	},
	"probes.monitoring.coreos.com": {
		"kind": "Probe",
		"objects": "monitoring.coreos.com/v1/probes",
		"since": "0.41.0",
		"fields": {
			"0.47.0": "basicAuth",
			"0.50.0": "authorization",
			"0.51.0": "metricRelabelings",
			"0.68.0": "keepDroppedTargets",
			"0.72.0": "scrapeClass",
			"0.78.0": "nativeHistogramBucketLimit",
			"0.79.1": "fallbackScrapeProtocol",
			"0.82.0": "convertClassicHistogramsToNHCB",
			"0.85.0": "params",
			"0.88.0": "enableHttp2",
		},
	},
	"prometheusagents.monitoring.coreos.com": {
		"kind": "PrometheusAgent",
		"objects": "monitoring.coreos.com/v1alpha1/prometheusagents",
		"since": "0.64.0",
		"fields": {
			"0.65.0": "scrapeConfigNamespaceSelector",
			"0.66.0": "tracingConfig",
			"0.67.0": "bodySizeLimit",
			"0.68.0": "enforcedKeepDroppedTargets",
			"0.70.0": "persistentVolumeClaimRetentionPolicy",
			"0.71.0": "maximumStartupDurationSeconds",
			"0.72.0": "scrapeClasses",
			"0.74.0": "automountServiceAccountToken",
			"0.75.0": "mode",
			"0.76.0": "serviceDiscoveryRole",
			"0.77.0": "otlp",
			"0.78.0": "dnsConfig",
			"0.79.0": "enableOTLPReceiver",
			"0.80.0": "scrapeFailureLogFile",
			"0.81.0": "enableServiceLinks",
			"0.82.0": "terminationGracePeriodSeconds",
			"0.83.0": "convertClassicHistogramsToNHCB",
			"0.84.0": "scrapeClassicHistograms",
			"0.85.0": "hostUsers",
			"0.88.0": "podManagementPolicy",
			"0.90.0": "schedulerName",
			"0.91.0": "shardingStrategy",
		},
	},
	"prometheuses.monitoring.coreos.com": {
		"kind": "Prometheus",
		"objects": "monitoring.coreos.com/v1/prometheuses",
		"since": "0.0.0",
		"fields": {
			"0.24.0": "priorityClassName",
			"0.25.0": "additionalAlertRelabelConfigs",
			"0.27.0": "image",
			"0.28.0": "enableAdminAPI",
			"0.29.0": "replicaExternalLabelName",
			"0.30.0": "prometheusExternalLabelName",
			"0.31.0": "podMonitorNamespaceSelector",
			"0.32.0": "initContainers",
			"0.34.0": "arbitraryFSAccessThroughSMs",
			"0.35.0": "disableCompaction",
			"0.38.0": "volumeMounts",
			"0.39.0": "queryLogFile",
			"0.40.0": "enforcedSampleLimit",
			"0.41.0": "probeNamespaceSelector",
			"0.43.0": "enforcedTargetLimit",
			"0.44.0": "shards",
			"0.47.0": "enableFeatures",
			"0.50.0": "enforcedLabelLimit",
			"0.51.0": "enforcedBodySizeLimit",
			"0.56.0": "enableRemoteWriteReceiver",
			"0.57.0": "hostAliases",
			"0.58.0": "exemplars",
			"0.59.0": "additionalArgs",
			"0.60.0": "hostNetwork",
			"0.62.0": "imagePullPolicy",
			"0.65.0": "scrapeConfigNamespaceSelector",
			"0.66.0": "tracingConfig",
			"0.67.0": "bodySizeLimit",
			"0.68.0": "enforcedKeepDroppedTargets",
			"0.70.0": "persistentVolumeClaimRetentionPolicy",
			"0.71.0": "maximumStartupDurationSeconds",
			"0.72.0": "scrapeClasses",
			"0.74.0": "automountServiceAccountToken",
			"0.76.0": "serviceDiscoveryRole",
			"0.77.0": "otlp",
			"0.78.0": "dnsConfig",
			"0.79.0": "enableOTLPReceiver",
			"0.80.0": "scrapeFailureLogFile",
			"0.81.0": "enableServiceLinks",
			"0.82.0": "terminationGracePeriodSeconds",
			"0.83.0": "convertClassicHistogramsToNHCB",
			"0.84.0": "scrapeClassicHistograms",
			"0.85.0": "hostUsers",
			"0.88.0": "podManagementPolicy",
			"0.90.0": "schedulerName",
			"0.91.0": "shardingStrategy",
		},
	},
	"prometheusrules.monitoring.coreos.com": {
		"kind": "PrometheusRule",
		"objects": "monitoring.coreos.com/v1/prometheusrules",
		"since": "0.20.0",
		"fields": {},
	},
	"scrapeconfigs.monitoring.coreos.com": {
		"kind": "ScrapeConfig",
		"objects": "monitoring.coreos.com/v1alpha1/scrapeconfigs",
		"since": "0.65.0",
		"fields": {
			"0.66.0": "authorization",
			"0.67.0": "consulSDConfigs",
			"0.68.0": "dnsSDConfigs",
			"0.69.0": "ec2SDConfigs",
			"0.70.0": "azureSDConfigs",
			"0.71.0": "noProxy",
			"0.72.0": "digitalOceanSDConfigs",
			"0.73.0": "dockerSDConfigs",
			"0.75.0": "dockerSwarmSDConfigs",
			"0.76.0": "oauth2",
			"0.77.0": "ionosSDConfigs",
			"0.78.0": "nativeHistogramBucketLimit",
			"0.79.0": "enableHTTP2",
			"0.79.1": "fallbackScrapeProtocol",
			"0.82.0": "convertClassicHistogramsToNHCB",
			"0.83.0": "nameEscapingScheme",
			"0.88.0": "scrapeNativeHistograms",
			"0.89.0": "bodySizeLimit",
		},
	},
	"servicemonitors.monitoring.coreos.com": {
		"kind": "ServiceMonitor",
		"objects": "monitoring.coreos.com/v1/servicemonitors",
		"since": "0.0.0",
		"fields": {
			"0.24.0": "podTargetLabels",
			"0.43.0": "targetLimit",
			"0.50.0": "labelLimit",
			"0.61.0": "attachMetadata",
			"0.68.0": "keepDroppedTargets",
			"0.72.0": "scrapeClass",
			"0.73.0": "bodySizeLimit",
			"0.78.0": "nativeHistogramBucketLimit",
			"0.79.0": "selectorMechanism",
			"0.79.1": "fallbackScrapeProtocol",
			"0.82.0": "convertClassicHistogramsToNHCB",
			"0.86.0": "serviceDiscoveryRole",
			"0.88.0": "scrapeNativeHistograms",
		},
	},
	"thanosrulers.monitoring.coreos.com": {
		"kind": "ThanosRuler",
		"objects": "monitoring.coreos.com/v1/thanosrulers",
		"since": "0.36.0",
		"fields": {
			"0.37.0": "affinity",
			"0.38.0": "grpcServerTlsConfig",
			"0.38.1": "alertQueryUrl",
			"0.43.0": "topologySpreadConstraints",
			"0.44.0": "objectStorageConfigFile",
			"0.51.0": "minReadySeconds",
			"0.52.0": "alertRelabelConfigFile",
			"0.56.0": "excludedFromEnforcement",
			"0.57.0": "hostAliases",
			"0.59.0": "tracingConfigFile",
			"0.62.0": "imagePullPolicy",
			"0.63.0": "additionalArgs",
			"0.66.0": "volumeMounts",
			"0.73.0": "web",
			"0.78.0": "dnsConfig",
			"0.81.0": "enableServiceLinks",
			"0.82.0": "remoteWrite",
			"0.84.0": "ruleConcurrentEval",
			"0.85.0": "enableFeatures",
			"0.88.0": "podManagementPolicy",
			"0.90.0": "schedulerName",
		},
	},
}
