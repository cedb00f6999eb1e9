{{/*
Everything bears one name, because the webhook configurations do: a cluster has one eksguard.
*/}}
{{- define "eksguard.name" -}}eksguard{{- end -}}

{{- define "eksguard.selector" -}}
app.kubernetes.io/name: eksguard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "eksguard.labels" -}}
{{ include "eksguard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "eksguard.image" -}}
{{- $repository := required "image.repository is not set: eksguard is in no public registry, push its image to one of yours, such as ECR, and name it here" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/*
Nine tenths of the memory limit, so that Go collects garbage before the kernel kills; nothing for other units.
*/}}
{{- define "eksguard.goMemoryLimit" -}}
{{- $limit := (.Values.resources.limits | default dict).memory | default "" | toString -}}
{{- if regexMatch "^[0-9]+Mi$" $limit -}}
{{ div (mul (trimSuffix "Mi" $limit | int64) 9) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{ div (mul (trimSuffix "Gi" $limit | int64) 9216) 10 }}MiB
{{- end -}}
{{- end -}}

{{/*
In its own namespace eksguard does not insist on being asked, so that it can be repaired.
*/}}
{{- define "eksguard.namespace" -}}
{{- if has .Release.Namespace (list "kube-system" "kube-public" "kube-node-lease" "default") -}}
{{- fail (printf "namespace %q: writes to the namespace of eksguard pass while it does not answer; install it into one of its own: --namespace eksguard-system --create-namespace" .Release.Namespace) -}}
{{- end -}}
{{ .Release.Namespace }}
{{- end -}}
