try {
  const theme = localStorage.getItem("beir-hybrid-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* a browser that keeps nothing shows what the system has */ }
