{{/*
What is mounted where, of the values that name something to mount.
*/}}
{{- define "eksguard.volumeMounts" -}}
{{- if .Values.settings }}
- name: settings
  mountPath: /etc/eksguard/settings
  readOnly: true
{{- end }}
{{- if .Values.config }}
- name: config
  mountPath: /etc/eksguard/config
  readOnly: true
- name: bundles
  mountPath: /var/lib/eksguard
{{- end }}
{{- if eq .Values.certificate.mode "files" }}
- name: certificate
  mountPath: /etc/eksguard/certificate
  readOnly: true
{{- end }}
{{- if or .Values.clientCA.configMap .Values.clientCA.secret }}
- name: client-ca
  mountPath: /etc/eksguard/client-ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "eksguard.volumes" -}}
{{- if .Values.settings }}
- name: settings
  configMap:
    name: {{ include "eksguard.name" . }}-settings
{{- end }}
{{- if .Values.config }}
- name: config
  configMap:
    name: {{ include "eksguard.name" . }}-config
- name: bundles
  emptyDir:
    sizeLimit: 1Gi
{{- end }}
{{- if eq .Values.certificate.mode "files" }}
# For the group of the Pod, and nobody else, to read.
- name: certificate
  secret:
    secretName: {{ .Values.certificate.secretName }}
    defaultMode: 0440
{{- end }}
{{- with .Values.clientCA }}
{{- if .configMap }}
- name: client-ca
  configMap:
    name: {{ .configMap }}
    items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]
{{- else if .secret }}
# Of a Secret this key alone: authorities are no secret, and what else it holds is none of eksguard's business.
- name: client-ca
  secret:
    secretName: {{ .secret }}
    items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
