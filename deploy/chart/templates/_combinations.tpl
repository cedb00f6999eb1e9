{{/*
Values that are in order by themselves and make no sense together. The schema could refuse them too, but not say why.
*/}}
{{- define "eksguard.combinations" -}}
{{- $certificate := .Values.certificate -}}
{{- if and $certificate.issuer.name (ne $certificate.mode "cert-manager") -}}
{{- fail (printf "certificate.issuer.name %q: certificate.mode is %q, which asks no issuer; set certificate.mode to cert-manager, or leave the issuer out" $certificate.issuer.name $certificate.mode) -}}
{{- end -}}
{{- if and (eq $certificate.issuer.kind "ClusterIssuer") (not $certificate.issuer.name) -}}
{{- fail "certificate.issuer.kind ClusterIssuer: certificate.issuer.name is not set; name the ClusterIssuer, or leave the kind out, and eksguard has an authority of its own made" -}}
{{- end -}}
{{- $client := .Values.clientCA -}}
{{- if and $client.configMap $client.secret -}}
{{- fail (printf "clientCA.configMap %q and clientCA.secret %q: set one of them, the one that holds the authorities" $client.configMap $client.secret) -}}
{{- end -}}
{{- if and $client.names (not (or $client.configMap $client.secret)) -}}
{{- fail (printf "clientCA.names %s: nobody vouches for names; set clientCA.configMap or clientCA.secret to what holds the authorities" (toJson $client.names)) -}}
{{- end -}}
{{- if and (eq $certificate.mode "files") (eq $certificate.secretName $client.secret) -}}
{{- fail (printf "clientCA.secret %q: it holds the serving certificate; who it vouches for would be whoever has a certificate of the same authority, so keep the authorities of clients in another ConfigMap or Secret" $client.secret) -}}
{{- end -}}
{{- end -}}

{{/*
Ports of services in config that the NetworkPolicy does not let eksguard reach, as text. Services are a list or, by name, an
object; a URL from the environment cannot be read here.
*/}}
{{- define "eksguard.closedPorts" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $open := list -}}
{{- range .Values.networkPolicy.egressPorts }}{{ $open = append $open (int . | toString) }}{{ end -}}
{{- $closed := list -}}
{{- range $service := .Values.config.services -}}
{{- $url := $service.url | default "" | toString -}}
{{- if and (regexMatch "^https?://" $url) (not (contains "${" $url)) -}}
{{- $host := (urlParse $url).host -}}
{{- $port := ternary "443" "80" (hasPrefix "https:" $url) -}}
{{- if regexMatch ":[0-9]+$" $host -}}{{- $port = regexFind "[0-9]+$" $host -}}{{- end -}}
{{- if not (has $port $open) -}}{{- $closed = append $closed (printf "%s (%s)" $port $url) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- join ", " ($closed | uniq | sortAlpha) -}}
{{- end -}}
{{- end -}}
