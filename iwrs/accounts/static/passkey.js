// Passkeys need a script; without one, or in a browser without them, codes serve instead.
(function () {
  "use strict";

  var form = document.querySelector("form[data-passkey]");
  if (!form || !window.PublicKeyCredential || !navigator.credentials || !window.fetch) { return; }

  var button = form.querySelector("button[type=button]");
  var said = form.querySelector("[role=status]");
  form.hidden = false;

  function bytes(text) {
    var plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (letter) { return letter.charCodeAt(0); });
  }

  function text(buffer) {
    var plain = "";
    new Uint8Array(buffer).forEach(function (each) { plain += String.fromCharCode(each); });
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function withBytes(options) {
    var key = options.publicKey;
    key.challenge = bytes(key.challenge);
    if (key.user) { key.user.id = bytes(key.user.id); }
    ["allowCredentials", "excludeCredentials"].forEach(function (name) {
      (key[name] || []).forEach(function (each) { each.id = bytes(each.id); });
    });
    return options;
  }

  function answer(credential) {
    var from = credential.response;
    var response = { clientDataJSON: text(from.clientDataJSON) };
    ["attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (from[name]) { response[name] = text(from[name]); }
    });
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response: response,
      clientExtensionResults: credential.getClientExtensionResults()
    });
  }

  function options() {
    if (form.dataset.options) { return Promise.resolve(JSON.parse(form.dataset.options)); }
    return fetch(form.action, { headers: { Accept: "application/json" }, credentials: "same-origin" })
      .then(function (got) { return got.json(); })
      .then(function (got) { return got.request_options; });
  }

  button.addEventListener("click", function () {
    said.textContent = "";
    options().then(function (found) {
      var asked = withBytes(found);
      return form.dataset.passkey === "make"
        ? navigator.credentials.create(asked)
        : navigator.credentials.get(asked);
    }).then(function (credential) {
      form.elements.credential.value = answer(credential);
      form.submit();
    }).catch(function () {
      said.textContent = "The passkey was not used. Try again, or go on without it.";
    });
  });
}());
