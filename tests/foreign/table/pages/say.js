// Tells the page around this one what happens here. The port says which site it is.
"use strict";
const say = (what) => parent.postMessage({ port: Number(location.port), at: Date.now(), ...what }, "*");
document.addEventListener("visibilitychange", () => say({ hidden: document.hidden }));
