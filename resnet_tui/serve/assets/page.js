// Gives the keys to the dashboard once it draws, and once it has ended to the link that opens it again.
window.addEventListener("DOMContentLoaded", () => {
  new MutationObserver((_, observer) => {
    const state = document.body.classList;
    if (state.contains("-closed")) {
      document.querySelector("#ended a").focus();
      observer.disconnect();
    } else if (state.contains("-first-byte")) {
      document.querySelector(".xterm-helper-textarea").focus();
    }
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
});
